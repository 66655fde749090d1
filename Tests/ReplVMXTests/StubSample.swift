import ReplModel

@testable import ReplVMX

/// A VM as ESXi describes it, with everything that a judge compares: processors, memory, adapters, disks.
enum StubSample {
  static let text = """
    .encoding = "UTF-8"
    config.version = "8"
    virtualHW.version = "13"
    nvram = "db.nvram"
    pciBridge0.present = "TRUE"
    displayName = "db |22prod|22 50%25 #1"
    guestOS = "rhel7-64"
    firmware = "efi"
    memSize = "6144"
    numvcpus = "6"
    cpuid.coresPerSocket = "3"
    scsi0.present = "TRUE"
    scsi0.virtualDev = "pvscsi"
    scsi0:0.present = "TRUE"
    scsi0:0.deviceType = "scsi-hardDisk"
    scsi0:0.fileName = "db-000002.vmdk"
    scsi0:1.present = "TRUE"
    scsi0:1.deviceType = "scsi-hardDisk"
    scsi0:1.fileName = "/vmfs/volumes/5f3c0a1b-1/db/db_1.vmdk"
    sata0.present = "TRUE"
    sata0:0.present = "TRUE"
    sata0:0.deviceType = "cdrom-image"
    sata0:0.fileName = "/vmfs/volumes/iso/rhel.iso"
    ethernet0.present = "TRUE"
    ethernet0.virtualDev = "vmxnet3"
    ethernet0.networkName = "VM Network"
    ethernet0.addressType = "vpx"
    ethernet0.generatedAddress = "00:50:56:9a:00:01"
    ethernet1.present = "TRUE"
    ethernet1.virtualDev = "e1000e"
    ethernet1.dvs.switchId = "50 1e 7a"
    ethernet1.dvs.portgroupId = "dvportgroup-7"
    ethernet1.addressType = "static"
    ethernet1.address = "00:50:56:01:02:03"
    uuid.bios = "42 35 94 20 99 dc 42 61-52 64 ba 58 dd ae 20 e4"

    """

  /// With the first disk, and both networks mapped.
  static func stub(of source: [UInt8]) throws(VMXError) -> StandbyStub.Output {
    try StandbyStub.make(
      StandbyStub.Input(
        source: source,
        disks: [.init(slot: DiskSlot("scsi0:0")!, descriptorFileName: "scsi0-0.vmdk")],
        nvramFileName: "db.nvram", networkMap: ["VM Network": "DR 20", "dvportgroup-7": "DR 30"],
        displayNameSuffix: " (standby)"))
  }
}
