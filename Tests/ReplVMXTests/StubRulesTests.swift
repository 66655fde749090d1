import ReplModel
import Testing

@testable import ReplVMX

/// A line for a rule, and what becomes of it: nil for dropped, else the value in the stub.
private struct Example: Sendable, CustomTestStringConvertible {
  let pattern: String
  let name: String
  let value: String
  let result: String?
  var testDescription: String { pattern }

  init(_ pattern: String, _ name: String, _ value: String, _ result: String?) {
    self.pattern = pattern
    self.name = name
    self.value = value
    self.result = result
  }

  /// A rule whose pattern is the name itself.
  init(_ name: String, _ value: String, _ result: String?) { self.init(name, name, value, result) }
}

private let uuid = "56 4d ef 2d 3f d4 14 e2-2e 04 c5 34 3a ec ee 65"

/// One for every rule, in the order of the table.
private let examples: [Example] = [
  Example(".encoding", "windows-1252", "UTF-8"), Example("displayName", "web", "web (standby)"),
  Example("annotation", "see http://wiki/web", "see http://wiki/web"), Example("uuid.bios", uuid, uuid),
  Example("vc.uuid", uuid, uuid), Example("uuid.location", uuid, nil),
  Example("uuid.action", "create", "keep"),
  Example("msg.autoAnswer", "FALSE", "TRUE"),
  Example("answer.*", "answer.msg.uuid.altered", "I copied it", nil),
  Example("vm.genid*", "vm.genidX", "-123", "-123"),
  Example("guestinfo.*", "guestInfo.metadata", "http://10.0.0.1/x", "http://10.0.0.1/x"),
  Example("machine.id", "a/b", "a/b"), Example("nvram", "web.nvram", "standby.nvram"),

  Example("*.redo", "scsi0:0.redo", "", nil), Example("*ctkEnabled", "scsi0:0.ctkEnabled", "TRUE", nil),
  Example("*.changeTrackPath", "scsi0:0.changeTrackPath", "a-ctk.vmdk", nil),
  Example("<bus>#:#.fileName", "SCSI0:0.fileName", "web-000001.vmdk", "scsi0-0.vmdk"),
  Example("<bus>#:#.present", "scsi0:0.present", "TRUE", "TRUE"),
  Example("<bus>#:#.mode", "scsi0:0.mode", "independent-nonpersistent", nil),
  Example("<bus>#:#.sharing", "scsi0:0.sharing", "multi-writer", nil),
  Example("<bus>#:#.shared", "scsi0:0.shared", "TRUE", nil),
  Example("<bus>#.sharedBus", "scsi1.sharedBus", "physical", nil),
  Example("<bus>#:#.autodetect", "ide1:0.autodetect", "TRUE", nil),
  Example("<bus>#:#.iofilters", "nvme0:0.iofilters", "spm", nil),
  Example("<bus>#:#.filters", "sata0:0.filters", "x", nil),
  Example("<bus>#:#.sidecars", "scsi0:0.sidecars", "x", nil),
  Example("<bus>#:#.digest*", "scsi0:0.digestFilename", "x", nil),
  Example("<bus>#:#.vflash*", "scsi0:0.vFlash.cache", "x", nil),
  Example("*hbr_filter*", "hbr_filter.destination", "site", nil),
  Example("snapshot.*", "snapshot.action", "keep", nil),
  Example("snapshot#.*", "snapshot0.uid", "1", nil), Example("extendedConfigFile", "web.vmxf", nil),
  Example("workingDir", ".", nil), Example("checkpoint.*", "checkpoint.vmState", "", nil),

  Example("ethernet#.networkName", "ethernet0.networkName", "VM Network", "DR"),
  Example("ethernet#.dvs.*", "ethernet0.dvs.portId", "12", nil),
  Example("ethernet#.opaqueNetwork.*", "ethernet0.opaqueNetwork.id", "x", nil),
  Example("ethernet#.externalId", "ethernet0.externalId", "x", nil),
  Example("ethernet#.filter*", "ethernet0.filter4.name", "dvfilter", nil),
  Example("ethernet#.connectionType", "ethernet0.connectionType", "custom", nil),
  Example("ethernet#.vnet", "ethernet0.vnet", "vmnet2", nil),
  Example("ethernet#.bsdName", "ethernet0.bsdName", "en0", nil),
  Example("ethernet#.displayName", "ethernet0.displayName", "Wi-Fi", nil),
  Example("ethernet#.address", "ethernet0.address", "00:50:56:01:02:03", "00:50:56:01:02:03"),
  Example("ethernet#.addressType", "ethernet0.addressType", "vpx", "generated"),
  Example("ethernet#.generatedAddress*", "ethernet0.generatedAddressOffset", "0", nil),
  Example("ethernet#.checkMACAddress", "ethernet0.checkMACAddress", "FALSE", nil),

  Example("serial#.present", "serial0.present", "TRUE", "FALSE"),
  Example("serial#.*", "serial0.fileName", "telnet", nil),
  Example("parallel#.present", "parallel0.present", "TRUE", "FALSE"),
  Example("parallel#.*", "parallel0.fileName", "lpt", nil),
  Example("floppy#.present", "floppy0.present", "TRUE", "FALSE"),
  Example("floppy#.*", "floppy0.fileType", "file", nil), Example("usb.present", "TRUE", "TRUE"),
  Example("usb_xhci.present", "TRUE", "TRUE"), Example("ehci.present", "TRUE", "TRUE"),
  Example("*.pciSlotNumber", "usb.pciSlotNumber", "32", "32"),
  Example("usb*", "usb.autoConnect.device0", "0x1234", nil),
  Example("ehci*", "ehci:0.deviceType", "video", nil),
  Example("pciPassthru*", "pciPassthru0.id", "00000:003:00.0", nil),
  Example("*vgpu*", "svga.vgpuProfile", "grid", nil), Example("sound.fileName", "-1", nil),
  Example("sound.autodetect", "TRUE", nil), Example("sound.startConnected", "TRUE", "FALSE"),
  Example("vtpm.*", "vtpm.present", "TRUE", nil), Example("encryption.*", "encryption.bundle", "x", nil),
  Example("dataFileKey", "x", nil), Example("cryptoState", "x", nil),

  Example("sched.*", "sched.swap.derivedName", "a.vswp", nil), Example("numa.nodeAffinity", "0", nil),
  Example("log.fileName", "vmware.log", nil), Example("migrate.*", "migrate.hostLog", "a.hlog", nil),
  Example("vmotion.*", "vmotion.checkpointFBSize", "4194304", nil),
  Example("hostCPUID.*", "hostCPUID.0", "x", nil),
  Example("guestCPUID.*", "guestCPUID.0", "x", nil), Example("userCPUID.*", "userCPUID.0", "x", nil),
  Example("evcCompatibilityMode", "TRUE", nil), Example("monitor.phys_bits_used", "45", nil),
  Example("vmci0.id", "1", nil),
  Example("cleanShutdown", "FALSE", nil), Example("softPowerOff", "FALSE", nil),
  Example("managedVM.*", "managedVM.autoAddVTPM", "x", nil), Example("ftcpt.*", "ftcpt.mode", "x", nil),
  Example("faultTolerance.*", "faultTolerance.id", "x", nil),
  Example("replay.*", "replay.supported", "FALSE", nil),

  Example("RemoteDisplay.*", "RemoteDisplay.vnc.port", "5900", nil),
  Example("debugStub.*", "debugStub.listen.guest64", "TRUE", nil),
  Example("monitor.debug*", "monitor.debugOnStartGuest64", "TRUE", nil),
  Example("vprobe.*", "vprobe.enable", "TRUE", nil),
  Example("gdb*", "gdbserver", "x", nil),
  Example("isolation.*", "isolation.tools.hgfs.disable", "TRUE", "TRUE"),
  Example("sharedFolder*", "sharedFolder0.hostPath", "x", nil),
  Example("hgfs.*", "hgfs.mapRootShare", "TRUE", nil),
  Example("fileSystem*", "fileSystem0.root", "x", nil),
  Example("toolScripts.*", "toolScripts.afterPowerOn", "TRUE", "TRUE"),
  Example("tools.deployPkg*", "tools.deployPkg.fileName", "x.cab", nil),
  Example("script*", "script0", "x", nil),
  Example("*.script*", "vm.scriptOnStart", "x", nil),
  Example("tools.*script*", "tools.powerOnScript", "x", nil),
  Example("*include", "config.include", "x", nil),

  Example("*fileName", "bios440.fileName", "x", nil), Example("*.file", "video.file", "x", nil),
  Example("*path", "fullPath", "x", nil), Example("*directory", "dumpDirectory", "x", nil),
  Example("*.dir", "log.dir", "x", nil),
  Example("*.exe", "post.exe", "x", nil), Example("*.command", "post.command", "x", nil),
  Example("*.hostDevice", "video.hostDevice", "x", nil), Example("*.port", "x.port", "9", nil),
  Example("*.ip", "x.ip", "9", nil),
  Example("*.host", "x.host", "a", nil), Example("*hostName", "syslogHostName", "a", nil),
  Example("*.server", "x.server", "a", nil),
  Example("*.url", "x.url", "a", nil), Example("*.uri", "x.uri", "a", nil),
  Example("*proxy*", "httpProxy", "a", nil),
  Example("*password", "x.password", "a", nil), Example("*.key", "x.key", "a", nil),
]

@Suite("rules of the stub") struct StubRulesTests {
  @Test("every rule has an example here, in the order of the table")
  func complete() {
    #expect(examples.map(\.pattern) == StubRules.all.map(\.pattern.text))
  }

  @Test("every rule does what it says", arguments: examples)
  private func rule(_ example: Example) throws {
    #expect(StubRule.first(for: example.name)?.pattern.text == example.pattern, "another rule is first")
    let source = "\(example.name) = \"\(example.value)\"\n"
    let output = try StandbyStub.make(
      StandbyStub.Input(
        source: Array(source.utf8),
        disks: [.init(slot: try #require(DiskSlot("scsi0:0")), descriptorFileName: "scsi0-0.vmdk")],
        nvramFileName: "standby.nvram", networkMap: ["VM Network": "DR"], displayNameSuffix: " (standby)"))
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(stub[example.name] == example.result)
    guard example.result == nil else { return }
    let rule = try #require(StubRule.first(for: example.name))
    #expect(output.dropped == [StandbyStub.Dropped(key: example.name, reason: rule.reason)])
    #expect(rule.reason.utf8.count > 8)
  }

  @Test(
    "a name that no rule knows stays, unless its value names a file, device or network endpoint",
    arguments: [
      ("TRUE", true), ("4", true), ("vmxnet3", true), ("scsi0:0", true), ("hdd,cdrom", true),
      ("0000:0000:--x", true),
      ("12.4.5", true), ("1.2.3.4567", true), ("some text, with a comma", true), ("", true),
      ("/var/log/x", false), ("sub/file", false), ("..\\x", false), ("C:\\x", false), ("file.ISO", false),
      ("a.vmdk", false), ("run.sh", false), ("10.0.0.1", false), ("host=10.0.0.1:902", false),
      ("tcp:host:7", false),
      ("fe80::1", false), ("log.example.org:514", false), ("localhost", false), ("\\\\.\\pipe\\x", false),
      ("https://x", false), ("file:x", false),
    ])
  func unknownNames(_ value: String, _ isKept: Bool) throws {
    let output = try StandbyStub.make(
      StandbyStub.Input(source: Array("vendor.setting = \"\(value)\"\n".utf8), disks: []))
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(stub["vendor.setting"] == (isKept ? value : nil))
    #expect(output.dropped.map(\.key) == (isKept ? [] : ["vendor.setting"]))
  }

  @Test("a pattern fits whole names only")
  func patterns() {
    func fits(_ pattern: String, _ name: String) -> Bool { KeyPattern(pattern).matches(Array(name.utf8)) }
    #expect(fits("serial#.*", "serial12.filename") && !fits("serial#.*", "serial.filename"))
    #expect(!fits("serial#.*", "myserial0.x") && !fits("workingDir", "workingdir2"))
    #expect(fits("<bus>#:#.present", "nvme0:15.present") && !fits("<bus>#:#.present", "usb0:1.present"))
    #expect(fits("*.a*", "x.b.ab") && !fits("*.a*", "xab") && fits("*", "") && !fits("#", ""))
  }
}
