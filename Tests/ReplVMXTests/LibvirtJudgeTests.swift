import ReplModel
import Testing

@testable import ReplVMX

@Suite("libvirt as judge of the stub", .needsLibvirt, .serialized)
struct LibvirtJudgeTests {
  @Test("libvirt sees the source's processors, memory and adapters in the stub, and the standby's disks")
  func golden() throws {
    let output = try StubSample.stub(of: Array(StubSample.text.utf8))
    let machine = try LibvirtReader.read(output.bytes)
    #expect(
      machine
        == LibvirtReader.Machine(
          // libvirt undoes `%25` besides the escapes.
          name: "db \"prod\" 50% #1 (standby)", uuid: "42359420-99dc-4261-5264-ba58ddae20e4",
          memoryKiB: "\(6144 << 10)", processors: "6",
          topology: "sockets='2' dies='1' cores='3' threads='1'",
          macAddresses: ["00:50:56:9a:00:01", "00:50:56:01:02:03"], networks: ["DR 20", "DR 30"],
          disks: ["sda scsi0-0.vmdk"]))
  }

  /// A VM, its disks as the standby has them, and how libvirt calls those.
  struct Sample: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let lines: [String]
    let slots: [String]
    let disks: [String]
  }

  private static let samples = [
    Sample(
      testDescription: "Workstation on Windows: IDE and SATA, NAT, a generated address",
      lines: [
        ".encoding = \"windows-1252\"", "virtualHW.version = \"16\"", "displayName = \"Win |7C x\"",
        "guestOS = \"windows9-64\"", "memsize = \"2048\"", "numvcpus = \"2\"",
        "ide0:0.present = \"TRUE\"", "ide0:0.fileName = \"win.vmdk\"", "ide1:0.present = \"TRUE\"",
        "ide1:0.deviceType = \"cdrom-raw\"", "ide1:0.fileName = \"auto detect\"",
        "sata0.present = \"TRUE\"", "sata0:1.present = \"TRUE\"", "sata0:1.fileName = \"data\\win.vmdk\"",
        "ethernet0.present = \"TRUE\"", "ethernet0.connectionType = \"nat\"",
        "ethernet0.addressType = \"generated\"", "ethernet0.generatedAddress = \"00:0c:29:11:22:33\"",
        "ethernet0.generatedAddressOffset = \"0\"", "ethernet1.present = \"TRUE\"",
        "ethernet1.connectionType = \"custom\"", "ethernet1.vnet = \"VMnet2\"",
        "ethernet1.networkName = \"VMnet2\"",
        "ethernet1.addressType = \"generated\"", "ethernet1.generatedAddress = \"00:0c:29:11:22:2d\"",
      ],
      slots: ["ide0:0", "sata0:1"], disks: ["sdb sata0-1.vmdk", "hda ide0-0.vmdk"]),
    Sample(
      testDescription: "ESXi: two controllers, unit 16, snapshots, an excluded shared disk",
      lines: [
        ".encoding = \"UTF-8\"", "virtualHW.version = \"14\"", "displayName = \"Büro\"",
        "guestOS = \"debian10-64\"", "memSize = \"4\"", "numvcpus = \"1\"",
        "scsi0.present = \"TRUE\"", "scsi0.virtualDev = \"lsisas1068\"", "scsi0:0.present = \"TRUE\"",
        "scsi0:0.deviceType = \"scsi-hardDisk\"", "scsi0:0.fileName = \"/vmfs/volumes/x/b-000007.vmdk\"",
        "scsi0:16.present = \"TRUE\"", "scsi0:16.deviceType = \"scsi-hardDisk\"",
        "scsi0:16.fileName = \"b_2.vmdk\"", "scsi0:16.mode = \"independent-persistent\"",
        "scsi1.present = \"TRUE\"", "scsi1.virtualDev = \"pvscsi\"", "scsi1.sharedBus = \"physical\"",
        "scsi1:0.present = \"TRUE\"", "scsi1:0.deviceType = \"scsi-hardDisk\"",
        "scsi1:0.fileName = \"q.vmdk\"",
        "ethernet0.present = \"TRUE\"", "ethernet0.virtualDev = \"vmxnet3\"",
        "ethernet0.networkName = \"VM Network\"", "ethernet0.addressType = \"vpx\"",
        "ethernet0.generatedAddress = \"00:50:56:b1:00:07\"", "ethernet3.present = \"TRUE\"",
        "ethernet3.networkName = \"unmapped\"", "ethernet3.addressType = \"static\"",
        "ethernet3.address = \"00:50:56:00:00:09\"", "ethernet4.present = \"FALSE\"",
      ],
      slots: ["scsi0:0", "scsi0:16"], disks: ["sda scsi0-0.vmdk", "sdp scsi0-16.vmdk"]),
  ]

  @Test("what libvirt reads of a source, it reads of its stub", arguments: samples)
  func agreement(_ sample: Sample) throws {
    let source = Array((["config.version = \"8\""] + sample.lines).map { $0 + "\n" }.joined().utf8)
    let disks = try sample.slots.map { text in
      let slot = try #require(DiskSlot(text))
      return StandbyStub.Input.Disk(slot: slot, descriptorFileName: "\(slot.fileStem).vmdk")
    }
    let output = try StandbyStub.make(
      StandbyStub.Input(source: source, disks: disks, networkMap: ["VM Network": "VM Network"]))
    let (before, after) = (try LibvirtReader.read(source), try LibvirtReader.read(output.bytes))
    #expect(after.name == before.name && after.name != nil)
    #expect(after.memoryKiB == before.memoryKiB && after.memoryKiB != nil)
    #expect(after.processors == before.processors && after.processors != nil)
    #expect(after.topology == before.topology)
    #expect(after.macAddresses == before.macAddresses && !after.macAddresses.isEmpty)
    #expect(after.disks == sample.disks)
  }
}
