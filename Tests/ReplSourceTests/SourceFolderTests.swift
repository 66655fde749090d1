import ReplModel
import Testing

@testable import ReplSource

@Suite struct SourceFolderTests {
  private func refusal(_ folder: PrimaryFolder) throws -> SourceError {
    try #require(#expect(throws: SourceError.self) { try folder.view() })
  }

  @Test("one file in two slots is refused with both slots, also through two descriptors")
  func sameFile() throws {
    let direct = try refusal(try PrimaryFolder(disks: ["web", "web"]))
    #expect("\(direct)".contains("scsi0:0") && "\(direct)".contains("scsi0:1"))
    #expect(direct.remedy == .stopVM)
    let folder = try PrimaryFolder(disks: ["web", "data"])
    try folder.write("data.vmdk", Array(PrimaryFolder.descriptor(flat: "web-flat.vmdk").utf8))
    guard case .sameFile(_, let first, let second) = try refusal(folder) else {
      Issue.record("another error")
      return
    }
    #expect(first != second)
  }

  @Test("two linked clones of one template are two disks; a template that is a disk as well is not separate")
  func linkedClones() throws {
    let folder = try PrimaryFolder(disks: ["web", "db"])
    try folder.write("base-flat.vmdk", [UInt8](repeating: 3, count: 1 << 20))
    try folder.write("base.vmdk", Array(PrimaryFolder.descriptor(flat: "base-flat.vmdk").utf8))
    func clone(_ name: String) throws {
      let text = """
        # Disk DescriptorFile
        version=1
        CID=1
        parentCID=fffffffe
        createType="custom"
        parentFileNameHint="base.vmdk"
        RW 2048 FLAT "\(name)-flat.vmdk" 0

        """
      try folder.write("\(name).vmdk", Array(text.utf8))
    }
    try clone("web")
    try clone("db")
    let view = try folder.view()
    #expect(view.disks.count == 2)
    let request = InspectionRequest(path: folder.vmxPath)
    #expect(try Inspection.read(request).protectable)
    // What the guest writes to the template would change the clone.
    try folder.write("db.vmdk", Array(PrimaryFolder.descriptor(flat: "base-flat.vmdk").utf8))
    guard case .sameFile = try refusal(folder) else {
      Issue.record("another error")
      return
    }
    let found = try Inspection.read(request)
    #expect(!found.protectable && found.problems.contains { $0.contains("made of the same file") })
  }

  @Test("a VM without a disk is refused, and the message names what is in its slots")
  func noDisks() throws {
    let folder = try PrimaryFolder(
      disks: [], extra: "ide0:0.present = \"TRUE\"\nide0:0.fileName = \"setup.iso\"\n")
    #expect("\(try refusal(folder))".contains("setup.iso"))
  }

  @Test("an unreadable uuid.bios is shown, a missing one is said to be missing")
  func identity() throws {
    let folder = try PrimaryFolder(extra: "uuid.bios = \"not a uuid\"\n")
    #expect("\(try refusal(folder))".contains("not a uuid"))
    let without = try PrimaryFolder(extra: "uuid.bios = \"\"\n")
    #expect("\(try refusal(without))".contains("neither uuid.bios nor vc.uuid"))
  }

  @Test("a display name of no bytes or of too many still makes an offer")
  func displayName() throws {
    let empty = try PrimaryFolder(extra: "displayName = \"\"\n")
    #expect(try ViewIdentity.read(vmxPath: empty.vmxPath).displayName == "web")
    let long = try PrimaryFolder(extra: "displayName = \"\(String(repeating: "ä", count: 300))\"\n")
    let name = try ViewIdentity.read(vmxPath: long.vmxPath).displayName
    #expect(name == String(repeating: "ä", count: 127))
  }
}
