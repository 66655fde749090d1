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
