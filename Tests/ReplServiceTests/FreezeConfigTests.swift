import ReplCommand
import ReplModel
import ReplSource
import ReplVMDK
import Testing

@testable import ReplService

/// Freezing, folders and places in the sender's configuration.
@Suite("Freeze and folder configuration")
struct FreezeConfigTests {
  private func config(_ text: String) throws -> SenderConfig {
    try SenderConfig.parse(ConfigTextTests.receiver + text, path: "s.yaml")
  }

  private func command(_ arguments: String..., seconds: Double) throws -> CommandSpec {
    CommandSpec(
      template: try CommandTemplate(arguments: arguments, placeholders: FreezeSettings.placeholders),
      deadlineSeconds: seconds)
  }

  @Test("every provider with its commands and hooks is understood, and deadlines have defaults")
  func providers() throws {
    let config = try config(
      """
      vms:
        - {vmx: /vm/a/a.vmx, freeze: {provider: none, pre_freeze: [/bin/f, "{name}"]}}
        - vmx: /vm/b/b.vmx
          freeze:
            provider: reflink
            allow_fuzzy: true
            quiesced: true
            pre_freeze: {command: [/bin/f, "{id}"], deadline: 10s}
            post_thaw: {command: [/bin/t]}
        - vmx: /vm/c/c.vmx
          freeze:
            provider: vmware-snapshot
            create: {command: [/bin/c, "{vmx}", "{tag}"], deadline: 2m}
            remove: [/bin/r, "{tag}"]
            foreign_snapshots: allow
            quiesced: true
        - vmx: /vm/d/d.vmx
          freeze: {provider: command, take: [/bin/t, "{directory}"], release: [/bin/r]}
      """)
    let freezes = config.vms.map(\.freeze)
    #expect(freezes[0] == FreezeSettings(preFreeze: try command("/bin/f", "{name}", seconds: 30)))
    let reflink = FreezeSettings(
      provider: .reflink, allowFuzzy: true, quiesced: true,
      preFreeze: try command("/bin/f", "{id}", seconds: 10), postThaw: try command("/bin/t", seconds: 30))
    #expect(freezes[1] == reflink)
    let snapshot = FreezeSettings(
      provider: .vmwareSnapshot(
        create: try command("/bin/c", "{vmx}", "{tag}", seconds: 120),
        remove: try command("/bin/r", "{tag}", seconds: 1800)), quiesced: true, foreignSnapshots: .allow)
    #expect(freezes[2] == snapshot)
    let storage = FreezeSettings(
      provider: .command(
        take: try command("/bin/t", "{directory}", seconds: 300), release: try command("/bin/r", seconds: 300)
      ))
    #expect(freezes[3] == storage)
  }

  @Test("a wish that the provider cannot grant is refused")
  func vainWishes() {
    let commands = "take: [/bin/t], release: [/bin/r]"
    for (freeze, words) in [
      ("provider: none, quiesced: true, pre_freeze: [/bin/f]", "VMs that are off"),
      ("provider: reflink, quiesced: true", "nothing brings"),
      ("provider: command, quiesced: true, \(commands)", "nothing brings"),
      ("provider: command, allow_fuzzy: true, \(commands)", "no fuzzy points"),
    ] {
      let error = #expect(throws: ConfigError.self) {
        try config("vms: [{vmx: /vm/a/a.vmx, freeze: {\(freeze)}}]")
      }
      #expect("\(String(describing: error))".contains(words), "\(freeze): \(String(describing: error))")
    }
  }

  @Test("folders have defaults, hand their values to the VMs they protect, and need no VM beside them")
  func folders() throws {
    let config = try config(
      """
      interval: 20m
      folders:
        - path: /srv/ds1/
        - path: /srv/ds2
          include: ["web*", "db?/*"]
          exclude: ["templates/*"]
          policy: protect
          interval: 5m
          rpo: 6m
          freeze: {provider: reflink}
      """)
    try #require(config.folders.count == 2 && config.vms.isEmpty)
    let (first, second) = (config.folders[0], config.folders[1])
    #expect(first.policy == .report && first.watched.path == "/srv/ds1" && first.intervalSeconds == 1200)
    #expect(first.watched.takes("any/thing.vmx") && first.freeze == .standard && first.rpoSeconds == 1800)
    #expect(second.watched.takes("web01/web01.vmx") && second.watched.takes("db1/x.vmx"))
    #expect(!second.watched.takes("templates/web.vmx") && !second.watched.takes("mail/mail.vmx"))
    let vm = second.vm(at: "/srv/ds2/web01/web01.vmx")
    #expect(vm.intervalSeconds == 300 && vm.rpoSeconds == 360 && vm.freeze.provider == .reflink)
    #expect(vm.name == nil && vm.excludedDisks.isEmpty)
  }

  @Test("the path map, devices and excluded disks reach the request for a view")
  func request() throws {
    let config = try config(
      #"""
      path_map:
        - {from: /vmfs/volumes/5f3c0a1b/, to: /srv/ds1}
        - {from: "C:\\VMs\\", to: /srv/win}
        - {from: "[ds1]", to: /srv/ds1}
      vms:
        - vmx: /vm/a/a.vmx
          exclude_disks: ["SCSI0:1", "6000C29a-bbcc-ddee-ff00-112233445566"]
          devices: [{name: a_1-rdm.vmdk, device: /dev/mapper/lun7}]
      """#)
    let request = config.viewRequest(config.vms[0])
    #expect(request.vmxPath == "/vm/a/a.vmx" && request.freeze == .standard)
    let mappings = [
      PathMapping(prefix: "/vmfs/volumes/5f3c0a1b", directory: "/srv/ds1"),
      PathMapping(prefix: #"C:\VMs"#, directory: "/srv/win"),
      PathMapping(prefix: "[ds1]", directory: "/srv/ds1"),
    ]
    #expect(request.opening.mappings == mappings)
    #expect(request.opening.devices == [DeviceMapping(name: "a_1-rdm.vmdk", path: "/dev/mapper/lun7")])
    let slot = try #require(DiskSlot("scsi0:1"))
    let disk = try #require(DiskID("6000c29abbccddeeff00112233445566"))
    #expect(request.excludedDisks == [.slot(slot), .disk(disk)])
  }
}
