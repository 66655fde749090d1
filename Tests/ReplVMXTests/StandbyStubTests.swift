import ReplModel
import Testing

@testable import ReplVMX

private func make(
  _ source: String, disks: [String: String] = ["scsi0:0": "scsi0-0.vmdk"], nvram: String? = nil,
  networks: [String: String] = [:], suffix: String = " (standby)"
) throws -> StandbyStub.Output {
  try StandbyStub.make(
    StandbyStub.Input(
      source: Array(source.utf8),
      disks: try disks.sorted { $0.key < $1.key }.map {
        .init(slot: try #require(DiskSlot($0.key)), descriptorFileName: $0.value)
      }, nvramFileName: nvram, networkMap: networks, displayNameSuffix: suffix))
}

private func text(_ output: StandbyStub.Output) -> String { String(decoding: output.bytes, as: UTF8.self) }

@Suite("stub of a standby") struct StandbyStubTests {
  @Test("an ESXi VM becomes a stub, line for line")
  func golden() throws {
    let source = """
      .encoding = "UTF-8"
      config.version = "8"
      virtualHW.version = "19"
      nvram = "web-01.nvram"
      displayName = "web-01"
      guestOS = "ubuntu-64"
      firmware = "efi"
      memSize = "8192"
      # tuned by hand
      scsi0.present = "TRUE"
      scsi0.virtualDev = "pvscsi"
      scsi0:0.present = "TRUE"
      scsi0:0.deviceType = "scsi-hardDisk"
      scsi0:0.fileName = "web-01-000003.vmdk"
      scsi0:0.ctkEnabled = "TRUE"
      scsi0:1.present = "TRUE"
      scsi0:1.deviceType = "scsi-hardDisk"
      scsi0:1.fileName = "/vmfs/volumes/scratch/tmp.vmdk"
      sata0.present = "TRUE"
      sata0:0.present = "TRUE"
      sata0:0.deviceType = "cdrom-image"
      sata0:0.fileName = "/vmfs/volumes/iso/debian.iso"
      ethernet0.present = "TRUE"
      ethernet0.virtualDev = "vmxnet3"
      ethernet0.networkName = "VLAN 20"
      ethernet0.addressType = "vpx"
      ethernet0.generatedAddress = "00:50:56:9a:12:34"
      ethernet1.present = "TRUE"
      ethernet1.dvs.switchId = "50 1e"
      ethernet1.dvs.portgroupId = "dvportgroup-7"
      ethernet1.addressType = "static"
      ethernet1.address = "00:50:56:01:02:03"
      uuid.bios = "42 3e 94 a9 a1 c7 b3 1d-71 61 76 c7 58 6c 83 0e"
      uuid.location = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 00"
      RemoteDisplay.vnc.enabled = "TRUE"
      cleanShutdown = "FALSE"

      """
    let output = try make(source, nvram: "web-01-2.nvram", networks: ["VLAN 20": "DR 20"])
    #expect(
      text(output) == """
        .encoding = "UTF-8"
        config.version = "8"
        virtualHW.version = "19"
        nvram = "web-01-2.nvram"
        displayName = "web-01 (standby)"
        guestOS = "ubuntu-64"
        firmware = "efi"
        memSize = "8192"
        # tuned by hand
        scsi0.present = "TRUE"
        scsi0.virtualDev = "pvscsi"
        scsi0:0.present = "TRUE"
        scsi0:0.deviceType = "scsi-hardDisk"
        scsi0:0.fileName = "scsi0-0.vmdk"
        scsi0:1.present = "FALSE"
        scsi0:1.deviceType = "scsi-hardDisk"
        sata0.present = "TRUE"
        sata0:0.present = "TRUE"
        sata0:0.deviceType = "cdrom-image"
        sata0:0.fileName = "emptyBackingString"
        ethernet0.present = "TRUE"
        ethernet0.virtualDev = "vmxnet3"
        ethernet0.networkName = "DR 20"
        ethernet0.addressType = "static"
        ethernet1.present = "TRUE"
        ethernet1.addressType = "static"
        ethernet1.address = "00:50:56:01:02:03"
        uuid.bios = "42 3e 94 a9 a1 c7 b3 1d-71 61 76 c7 58 6c 83 0e"
        uuid.action = "keep"
        msg.autoAnswer = "TRUE"
        sata0:0.startConnected = "FALSE"
        ethernet0.address = "00:50:56:9a:12:34"
        ethernet0.checkMACAddress = "FALSE"
        ethernet1.startConnected = "FALSE"
        annotation = "Not in this copy (excluded from replication, or not copied completely yet): scsi0:1"

        """)
    #expect(output.excludedDisks == [DiskSlot("scsi0:1")])
    #expect(
      output.dropped.map(\.key) == [
        "scsi0:0.ctkEnabled", "scsi0:1.fileName", "ethernet0.generatedAddress",
        "ethernet1.dvs.switchId", "ethernet1.dvs.portgroupId", "uuid.location", "RemoteDisplay.vnc.enabled",
        "cleanShutdown",
      ])
  }

  @Test("a stub of a stub is the same stub")
  func idempotent() throws {
    let once = try make(
      "displayName = \"a|22b\"\nide1:0.present = \"TRUE\"\nide1:0.deviceType ="
        + " \"cdrom-raw\"\nethernet3.present = \"TRUE\"\n",
      suffix: "")
    let twice = try make(text(once), suffix: "")
    #expect(twice.bytes == once.bytes && twice.dropped.isEmpty)
  }

  @Test("no value can become a line, a quote or an end of text")
  func injection() throws {
    let evil = "x\"\nserial0.fileName = \"/etc/shadow\"\r\u{7F}|0A\u{1}#\0y"
    let output = try make(
      "displayName = \"a|22|0Aserial1.fileName = |22|2Fetc|2Fshadow\"\nannotation = \"|0D|0Ab = |22c|22\"\n"
        + "ethernet0.networkName = \"n\"\n", nvram: "a\" b.nvram", networks: ["n": evil], suffix: evil)
    let stub = try VMXDocument(parsing: output.bytes)
    let names = stub.entries.map(\.name)
    #expect(
      names == [
        ".encoding", "displayName", "annotation", "ethernet0.networkName", "uuid.action", "msg.autoAnswer",
        "nvram",
        "scsi0:0.present", "scsi0:0.fileName", "scsi0.present", "ethernet0.addressType",
      ])
    #expect(
      output.bytes.filter { $0 == 0x0A }.count == names.count
        && !output.bytes.contains { $0 < 0x0A || $0 == 0x0D })
    #expect(stub["nvram"] == "a\" b.nvram")
    #expect(stub["ethernet0.networkName"] == "x\"\nserial0.fileName = \"/etc/shadow\"\r\u{7F}|0A\u{1}#")
    #expect(stub["displayName"]?.hasPrefix("a\"\nserial1.fileName = \"/etc/shadow") == true)
  }

  @Test(
    "names of the standby that are no plain names are refused",
    arguments: [
      "", ".", "..", "a/b", "a\\b", "a\nb", String(repeating: "a", count: 256),
    ])
  func badNames(_ name: String) throws {
    for attempt in [
      { _ = try make("", disks: ["scsi0:0": name]) }, { _ = try make("", disks: [:], nvram: name) },
    ] {
      #expect(try #require(throws: VMXError.self) { try attempt() }.code == .badStandbyName)
    }
  }

  @Test(
    "an adapter keeps its MAC address as a static one, checked only where VMware would refuse it",
    arguments: [
      (
        "addressType = \"vpx\"|generatedAddress = \"00:50:56:9A:00:01\"", "static", "00:50:56:9a:00:01",
        "FALSE"
      ),
      (
        "addressType = \"generated\"|generatedAddress = \"00:0c:29:00:00:01\"", "static", "00:0c:29:00:00:01",
        "FALSE"
      ),
      ("addressType = \"static\"|address = \"00:50:56:3f:ff:ff\"", "static", "00:50:56:3f:ff:ff", nil),
      ("addressType = \"static\"|address = \"00:50:56:40:00:00\"", "static", "00:50:56:40:00:00", "FALSE"),
      (
        "addressType = \"static\"|address = \"00:50:56:00:00:01\"|generatedAddress = \"00:0c:29:00:00:02\"",
        "static", "00:50:56:00:00:01", nil
      ),
      ("addressType = \"generated\"|address = \"zz:50:56:00:00:00\"", "generated", nil, nil),
      ("present = \"TRUE\"", "generated", nil, nil),
    ] as [(String, String, String?, String?)])
  func addresses(_ lines: String, _ type: String, _ address: String?, _ check: String?) throws {
    let source = lines.split(separator: "|").map { "ethernet0.\($0)\n" }.joined()
    let stub = try VMXDocument(parsing: make(source).bytes)
    #expect(stub["ethernet0.addressType"] == type && stub["ethernet0.address"] == address)
    #expect(stub["ethernet0.checkMACAddress"] == check && stub["ethernet0.generatedAddress"] == nil)
  }

  @Test("an adapter without a mapping is disconnected, and its network is named in the report")
  func networks() throws {
    let source = """
      ethernet0.networkName = "known"
      ethernet0.startConnected = "TRUE"
      ethernet1.networkName = "unknown"
      ethernet1.startConnected = "TRUE"
      ethernet2.connectionType = "nat"
      ethernet3.dvs.portgroupId = "dvportgroup-7"

      """
    let output = try make(source, networks: ["known": "A", "dvportgroup-7": "B"])
    let stub = try VMXDocument(parsing: output.bytes)
    #expect((0..<4).map { stub["ethernet\($0).startConnected"] } == ["TRUE", "FALSE", "FALSE", nil])
    #expect((0..<4).map { stub["ethernet\($0).networkName"] } == ["A", nil, nil, "B"])
    #expect(stub["ethernet2.connectionType"] == "nat")
    #expect(
      output.dropped.first
        == StandbyStub.Dropped(
          key: "ethernet1.networkName",
          reason: "no mapping for network \"unknown\": the adapter is disconnected"))
  }

  @Test("a disk that the source does not mention is attached all the same; raw device types become disks")
  func disks() throws {
    let output = try make(
      "scsi1:0.present = \"FALSE\"\nscsi1:0.deviceType = \"rawDisk\"\n",
      disks: ["nvme0:1": "nvme0-1.vmdk", "scsi1:0": "scsi1-0.vmdk", "ide0:0": "ide0-0.vmdk"])
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(try stub.disks().map(\.fileName) == ["ide0-0.vmdk", "nvme0-1.vmdk", "scsi1-0.vmdk"])
    #expect(stub["scsi1:0.deviceType"] == "scsi-hardDisk" && stub["scsi1.present"] == "TRUE")
    #expect(output.excludedDisks.isEmpty && stub["annotation"] == nil)
  }

  @Test("a disk that is excluded or still seeding is absent, and the annotation says so, whatever it is")
  func absentDisks() throws {
    let output = try make(
      """
      annotation = "see wiki"
      scsi0:0.present = "TRUE"
      scsi0:0.fileName = "web.vmdk"
      scsi0:0.mode = "Independent-persistent"
      scsi0:1.present = "TRUE"
      scsi0:1.fileName = "[ds2] web/quorum.vmdk"
      scsi0:1.mode = "independent-nonpersistent"
      scsi0:1.sharing = "multi-writer"
      scsi1.present = "TRUE"
      scsi1.sharedBus = "physical"
      scsi1:2.present = "TRUE"
      scsi1:2.deviceType = "scsi-passthru-rdm"
      scsi1:2.fileName = "web-rdmp.vmdk"
      nvme0:0.present = "TRUE"
      nvme0:0.deviceType = "holo"
      scsi2.present = "FALSE"
      scsi2:0.present = "TRUE"
      scsi2:0.fileName = "unplugged.vmdk"

      """)
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(try stub.disks().map(\.slot.description) == ["scsi0:0"])
    #expect(try stub.disks().map(\.mode) == ["Independent-persistent"])
    #expect(output.excludedDisks.map(\.description) == ["nvme0:0", "scsi0:1", "scsi1:2"])
    #expect(
      stub["annotation"] == "see wiki\nNot in this copy (excluded from replication, or not copied completely"
        + " yet): nvme0:0, scsi0:1, scsi1:2")
    for slot in ["nvme0:0", "scsi0:1", "scsi1:2", "scsi2:0"] { #expect(stub["\(slot).present"] == "FALSE") }
    #expect(stub["scsi0:1.mode"] == nil && stub["scsi0:1.sharing"] == nil && stub["scsi1.sharedBus"] == nil)
    // When it has been copied, it is there, and nothing says that it is not.
    let later = try make("scsi0:1.present = \"TRUE\"\n", disks: ["scsi0:1": "scsi0-1.vmdk"])
    #expect(later.excludedDisks.isEmpty && !text(later).contains("annotation"))
  }

  @Test(
    "a drive stays without its medium",
    arguments: [
      (
        "ide1:0.deviceType = \"cdrom-image\"|ide1:0.fileName = \"/isos/x.iso\"", "cdrom-image",
        "emptyBackingString"
      ),
      ("ide1:0.deviceType = \"cdrom-raw\"|ide1:0.fileName = \"/dev/sr0\"", "cdrom-raw", "auto detect"),
      (
        "ide1:0.deviceType = \"atapi-cdrom\"|ide1:0.fileName = \"emptyBackingString\"", "atapi-cdrom",
        "auto detect"
      ),
      ("ide1:0.fileName = \"auto detect\"|ide1:0.autodetect = \"TRUE\"", "cdrom-raw", "auto detect"),
    ])
  func drives(_ lines: String, _ type: String, _ name: String) throws {
    let source = "ide1:0.present = \"TRUE\"\n" + lines.replacing("|", with: "\n") + "\n"
    let once = try make(source, suffix: "")
    let stub = try VMXDocument(parsing: once.bytes)
    #expect(stub["ide1:0.present"] == "TRUE" && stub["ide1:0.startConnected"] == "FALSE")
    #expect(stub["ide1:0.deviceType"] == type && stub["ide1:0.fileName"] == name)
    #expect(stub["ide1:0.autodetect"] == nil && once.excludedDisks.isEmpty)
    #expect(try stub.disks().map(\.slot.description) == ["scsi0:0"])
    #expect(try make(text(once), suffix: "").bytes == once.bytes)
  }

  @Test("what cannot be a disk of the standby is not present")
  func otherDevices() throws {
    let output = try make(
      """
      scsi0:1.present = "TRUE"
      scsi0:1.deviceType = "scsi-passthru"
      scsi0:1.fileName = "/dev/sg0"
      scsi0:2.present = "TRUE"
      scsi0:2.deviceType = "holo"
      scsi0:99.present = "TRUE"
      scsi0:99.fileName = "x.vmdk"
      scsi0:3.fileName = "not-present.vmdk"

      """)
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(try stub.disks().map(\.slot.description) == ["scsi0:0"])
    #expect(
      !text(output).contains("sg0") && stub["scsi0:99.present"] == nil
        && !text(output).contains("not-present"))
  }

  @Test("a doubled line is written once, with the value that counts")
  func doubled() throws {
    let output = try make(
      "memSize = \"1\"\nMEMSIZE = \"2\"\nscsi0:0.fileName = \"a\"\nscsi0:0.FILENAME = \"b\"\n")
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(stub.notes.isEmpty && stub["memsize"] == "2" && stub["scsi0:0.fileName"] == "scsi0-0.vmdk")
    #expect(output.notes.count == 2)
  }

  @Test("comments and unreadable lines stay where they are harmless")
  func otherLines() throws {
    let output = try make(
      "#!/usr/bin/vmware\n# note\n\nBadLine without equals\nserial0.fileName = \"a\" b\nodd = \"/etc\""
        + " b\nscsi0:0.present = x y\n"
        + "bell \u{7}\na\"b = \"c\"\n", disks: [:])
    #expect(
      text(output).hasPrefix(
        ".encoding = \"UTF-8\"\n# note\n\nBadLine without equals\n"
          + "displayName = \"standby (standby)\"\nuuid.action = \"keep\"\n"), "\(text(output))")
    #expect(
      output.dropped.map(\.key) == [
        "#!/usr/bin/vmware", "serial0.fileName = \"a\" b", "odd = \"/etc\" b", "scsi0:0.present = x y",
        "bell ?", "a\"b",
      ])
  }

  @Test("a stub that nobody could read again is refused")
  func tooLarge() throws {
    let source = "guestinfo.x = \"" + String(repeating: "\u{1}", count: 400_000) + "\"\n"
    #expect(try #require(throws: VMXError.self) { _ = try make(source) }.code == .tooLarge)
  }

  @Test("a source in any encoding becomes UTF-8; text of an unknown encoding loses only what cannot be read")
  func encodings() throws {
    func stub(_ label: String, _ lines: [UInt8]) throws -> StandbyStub.Output {
      try StandbyStub.make(
        StandbyStub.Input(source: Array("\u{FEFF}.encoding = \"\(label)\"\r\n".utf8) + lines, disks: []))
    }
    let name =
      Array("displayName = \"B".utf8) + [0xFC] + Array("ro\"\r\nvendor.note = \"".utf8) + [
        0xFC, 0x22, 0x0D, 0x0A,
      ]
    let western = try stub("windows-1252", name)
    #expect(text(western).hasPrefix(".encoding = \"UTF-8\"\ndisplayName = \"Büro\"\nvendor.note = \"ü\"\n"))
    let chinese = try stub("GBK", Array("displayName = \"".utf8) + [0xCA, 0xFD, 0x22, 0x0A])
    #expect(text(chinese).hasPrefix(".encoding = \"UTF-8\"\ndisplayName = \"数\"\n"))
    let unknown = try stub("EBCDIC-XY", name)
    #expect(text(unknown).hasPrefix(".encoding = \"UTF-8\"\ndisplayName = \"B?ro\"\nuuid.action"))
    #expect(unknown.dropped.map(\.key) == ["vendor.note"] && unknown.notes.count == 1)
  }

  @Test("an encrypted or suspended source makes a stub without what it cannot have")
  func statefulSource() throws {
    let output = try make(
      "encryption.keySafe = \"x\"\nencryption.data = \"y\"\ncheckpoint.vmState = \"a.vmss\"\n")
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(!stub.isEncrypted && !stub.isSuspended && output.dropped.count == 3)
  }
}
