import ReplModel
import Testing

@testable import ReplVMX

private let disk = """
  scsi0.present = "TRUE"
  scsi0.virtualDev = "pvscsi"
  scsi0:0.present = "TRUE"
  scsi0:0.deviceType = "scsi-hardDisk"
  scsi0:0.fileName = "web.vmdk"

  """

private func failure(_ text: String) throws -> VMXError {
  try #require(throws: VMXError.self) { _ = try document(text).disks() }
}

@Suite("disks of a VMX") struct VMXDisksTests {
  @Test("hard disks on every bus are found, sorted by slot")
  func everyBus() throws {
    let text =
      disk + """
        SCSI0:16.Present = "true"
        scsi0:16.FileName = "sub/web_1.vmdk"
        scsi0:16.mode = "independent-persistent"
        scsi0:16.sharing = "none"
        scsi0.sharedBus = "none"
        sata0.present = "TRUE"
        sata0:3.present = "TRUE"
        sata0:3.deviceType = "disk"
        sata0:3.fileName = "s.vmdk"
        nvme0.present = "TRUE"
        nvme0:0.present = "1"
        nvme0:0.fileName = "n.vmdk"
        ide0:0.present = "TRUE"
        ide0:0.deviceType = "ata-hardDisk"
        ide0:0.fileName = "Büro 1.vmdk"
        ide0:0.mode = ""

        """
    let disks = try document(text).disks()
    #expect(disks.map(\.slot.description) == ["ide0:0", "nvme0:0", "sata0:3", "scsi0:0", "scsi0:16"])
    #expect(disks.map(\.fileName) == ["Büro 1.vmdk", "n.vmdk", "s.vmdk", "web.vmdk", "sub/web_1.vmdk"])
    #expect(disks.map(\.mode) == [nil, nil, nil, nil, "independent-persistent"])
    #expect(disks[3].deviceType == "scsi-hardDisk")
  }

  @Test(
    "drives, host devices and what is not present are no disks",
    arguments: [
      "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"/isos/x.iso\"",
      "sata0:0.present = \"TRUE\"\nsata0:0.deviceType = \"cdrom-raw\"\nsata0:0.fileName = \"auto detect\"",
      "ide1:0.present = \"TRUE\"\nide1:0.fileName = \"auto detect\"",
      "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"atapi-cdrom\"\nide1:0.fileName ="
        + " \"emptyBackingString\"",
      "scsi1:4.present = \"TRUE\"\nscsi1:4.deviceType = \"scsi-passthru\"\nscsi1:4.fileName = \"/dev/sg1\"",
      "scsi0:1.present = \"FALSE\"\nscsi0:1.fileName = \"/abs.vmdk\"", "scsi0:1.fileName = \"gone.vmdk\"",
      "scsi1.present = \"FALSE\"\nscsi1:0.present = \"TRUE\"\nscsi1:0.fileName = \"/abs.vmdk\"",
      "scsi0:99.present = \"FALSE\"", "floppy0.present = \"TRUE\"\nfloppy0.fileName = \"a.vmdk\"",
    ])
  func noDisks(_ lines: String) throws {
    #expect(try document(disk + lines + "\n").disks().map(\.slot.description) == ["scsi0:0"])
  }

  @Test(
    "a disk whose copy would be wrong or useless is refused, with its slot",
    arguments: [
      (
        "scsi0:0.mode = \"independent-nonpersistent\"", .nonpersistentDisk,
        "scsi0:0: mode \"independent-nonpersistent\""
      ),
      ("scsi0:0.mode = \"undoable\"", .nonpersistentDisk, "scsi0:0: mode \"undoable\""),
      ("scsi0:0.sharing = \"multi-writer\"", .sharedDisk, "scsi0:0: sharing is \"multi-writer\""),
      ("scsi0.sharedBus = \"virtual\"", .sharedBus, "scsi0:0: scsi0.sharedBus is \"virtual\""),
      ("scsi0:0.shared = \"TRUE\"", .sharedDisk, "scsi0:0: shared is \"TRUE\""),
      ("scsi0:0.fileName = \"a|0A.vmdk\"", .unsafeName, "scsi0:0: the file name \"a?.vmdk\""),
      ("scsi0:0.fileName = \"\"", .missingFileName, "scsi0:0: the disk names no file"),
      (
        "scsi0:0.deviceType = \"holo\"\nscsi0:0.fileName = \"x\"", .unknownDeviceType,
        "scsi0:0: deviceType \"holo\""
      ),
      ("scsi0:0.present = \"maybe\"", .notABoolean, "scsi0:0: present is \"maybe\""),
      ("scsi0:99.present = \"TRUE\"", .unknownSlot, "scsi0:99 is no slot of a VMware VM"),
      ("scsi00:1.present = \"TRUE\"", .unknownSlot, "scsi00:1 is no slot of a VMware VM"),
      ("scsi0:1.present = \"TRUE\"", .missingFileName, "scsi0:1: the disk names no file"),
      ("checkpoint.vmState = \"x.vmss\"", .suspended, "the VM is suspended"),
      ("encryption.keySafe = \"vmware:key\"", .encrypted, "the VM is encrypted"),
      ("encryption.data = \"x\"", .encrypted, "the VM is encrypted"),
    ] as [(String, VMXError.Code, String)])
  func refusals(_ lines: String, _ code: VMXError.Code, _ text: String) throws {
    let error = try failure(disk + lines + "\n")
    #expect(error.code == code && error.description.contains(text), "\(error)")
    #expect(error.remedy == (code == .suspended ? .abandonPass : .stopVM))
  }

  @Test(
    "where a disk's file lies is not judged here",
    arguments: [
      "/vmfs/volumes/5f3c0a1b-1/web/b.vmdk", "../data/b.vmdk", "C:\\VMs\\b.vmdk", "\\\\host\\b.vmdk",
      "[ds1] web/b.vmdk",
    ])
  func elsewhere(_ name: String) throws {
    #expect(try document(disk + "scsi0:0.fileName = \"\(name)\"\n").disks().map(\.fileName) == [name])
  }

  @Test("what is wrong with one disk is said of that disk only")
  func entries() throws {
    let document = try document(
      disk + """
        scsi0:1.present = "TRUE"
        scsi0:1.fileName = "quorum.vmdk"
        scsi0:1.sharing = "multi-writer"
        scsi0:2.present = "TRUE"
        scsi0:2.fileName = "a|0A.vmdk"
        sata0:0.present = "TRUE"
        sata0:0.deviceType = "cdrom-image"
        sata0:0.fileName = "x.iso"

        """)
    let entries = document.diskEntries()
    #expect(entries.map(\.slot.description) == ["scsi0:0", "scsi0:1", "scsi0:2"])
    #expect(entries.map(\.fileName) == ["web.vmdk", "quorum.vmdk", nil])
    let codes = entries.map { entry -> VMXError.Code? in
      if case .failure(let error) = entry.disk { error.code } else { nil }
    }
    #expect(codes == [nil, .sharedDisk, .unsafeName])
    #expect(document.vmProblems.isEmpty)
  }

  @Test(
    "an excluded disk is not judged",
    arguments: [
      "scsi0:1.sharing = \"multi-writer\"", "scsi0:1.mode = \"independent-nonpersistent\"",
      "scsi0:1.deviceType = \"holo\"\nscsi0:1.fileName = \"x\"", "scsi0:1.fileName = \"a|0A.vmdk\"",
      "scsi0:1.present = \"maybe\"",
    ])
  func excluded(_ line: String) throws {
    let text = disk + "scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"x.vmdk\"\n" + line + "\n"
    let slot = try #require(DiskSlot("scsi0:1"))
    #expect(try failure(text).slot == slot)
    #expect(try document(text).disks(excluding: [slot]).map(\.slot.description) == ["scsi0:0"])
  }

  @Test("an excluded disk on a shared bus does not keep the others from being copied")
  func excludedBus() throws {
    let text =
      disk + "scsi1.sharedBus = \"physical\"\nscsi1:0.present = \"TRUE\"\nscsi1:0.fileName = \"q\"\n"
      + "scsi1:0.deviceType = \"scsi-hardDisk\"\n"
    #expect(try failure(text).code == .sharedBus)
    #expect(try document(text).disks(excluding: [#require(DiskSlot("scsi1:0"))]).count == 1)
  }

  @Test("a VM that cannot be replicated as a whole says every reason, and is refused whatever is excluded")
  func wholeVM() throws {
    let text =
      disk + "checkpoint.vmState = \"x.vmss\"\nencryption.data = \"x\"\nscsi0:99.present = \"TRUE\"\n"
      + "SCSI0:99.Present = \"TRUE\"\nscsi0:88.present = \"TRUE\"\nscsi0:88.present = \"FALSE\"\n"
    let document = try document(text)
    #expect(document.vmProblems.map(\.code) == [.suspended, .encrypted, .unknownSlot])
    #expect(document.diskEntries().count == 1)
    #expect(throws: VMXError.self) { try document.disks(excluding: [#require(DiskSlot("scsi0:0"))]) }
  }

  @Test("a controller that is not mentioned does not hide its disks")
  func silentController() throws {
    #expect(try document("scsi2:0.present = \"TRUE\"\nscsi2:0.fileName = \"a.vmdk\"\n").disks().count == 1)
  }
}
