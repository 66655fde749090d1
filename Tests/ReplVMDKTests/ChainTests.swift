import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("parents") struct ChainTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// A monolithic sparse image with one grain of 8 KiB, made a link of a chain.
  private func link(
    _ name: String, cid: String, parent: (cid: String, hint: String)? = nil, grain: Int, fill: UInt8,
    capacity: UInt64 = 64, ddb: String = ""
  ) throws {
    var builder = SparseImageBuilder()
    builder.capacity = capacity
    builder.grains = [(grain, [UInt8](repeating: fill, count: 8192))]
    builder.extraLines = ddb + (parent.map { "\nparentFileNameHint=\"\($0.hint)\"" } ?? "")
    var bytes = builder.build()
    replace("CID=a1b2c3d4", with: "CID=\(cid)", in: &bytes)
    if let parent { replace("parentCID=ffffffff", with: "parentCID=\(parent.cid)", in: &bytes) }
    try folder.write(name, bytes)
  }

  /// Text of the same length.
  private func replace(_ old: String, with new: String, in bytes: inout [UInt8]) {
    let (old, new) = (Array(old.utf8), Array(new.utf8))
    guard let place = bytes.firstRange(of: old), new.count <= old.count else {
      Issue.record("nothing to replace")
      return
    }
    let blanks = [UInt8](repeating: UInt8(ascii: " "), count: old.count - new.count)
    bytes.replaceSubrange(place, with: new + blanks)
  }

  private func open(_ name: String, _ opening: DiskOpening = DiskOpening()) throws -> VMDKImage {
    try VMDKImage.open(name, in: folder.directory, opening)
  }

  private func flatBase(_ name: String = "base", cid: String = "0000beef", sectors: Int = 64) throws {
    try folder.write("\(name)-flat.vmdk", [UInt8](repeating: 0xBA, count: sectors * 512))
    let text = descriptorText(
      createType: "vmfs", extents: "RW \(sectors) VMFS \"\(name)-flat.vmdk\"",
      ddb: """
        ddb.adapterType = "lsilogic"
        ddb.uuid = "60 00 C2 99 00 00 00 00-00 00 00 00 00 00 00 07"
        ddb.longContentID = "0123456789abcdef012345670000beef"
        ddb.geometry.cylinders = "7"
        ddb.toolsVersion = "1"
        """)
    try folder.write("\(name).vmdk", replacing("CID=a1b2c3d4", with: "CID=\(cid)", in: text))
  }

  @Test("three links are one disk; short content IDs and their case make no difference")
  func threeLinks() throws {
    try flatBase(cid: "BEEF")
    try link("web-000001.vmdk", cid: "0000001a", parent: ("0000beef", "base.vmdk"), grain: 1, fill: 1)
    try link("web-000007.vmdk", cid: "2", parent: ("1A", "web-000001.vmdk"), grain: 2, fill: 2)
    let disk = try open("web-000007.vmdk")
    var expected = [UInt8](repeating: 0xBA, count: 64 * 512)
    expected.replaceSubrange(8192..<16_384, with: repeatElement(1, count: 8192))
    expected.replaceSubrange(16_384..<24_576, with: repeatElement(2, count: 8192))
    #expect(try contents(of: disk) == expected)
    #expect(disk.links.map(\.path) == ["web-000007.vmdk", "web-000001.vmdk", "base.vmdk"])
    #expect(disk.links.map(\.contentID) == [2, 0x1A, 0xBEEF])
    #expect(disk.links.map(\.parentContentID) == [0x1A, 0xBEEF, nil])
    #expect(disk.links.map(\.createType) == [.monolithicSparse, .monolithicSparse, .vmfs])
    #expect(disk.contentID == 2 && disk.createType == .monolithicSparse)
    #expect(
      disk.files.map(\.relativePath) == ["web-000007.vmdk", "web-000001.vmdk", "base.vmdk", "base-flat.vmdk"])
    #expect(disk.files.map(\.role) == [.sparse, .sparse, .descriptor, .flat])
    #expect(disk.files.map(\.place.path) == disk.files.map { folder.path + "/" + $0.relativePath })
    #expect(try disk.links.map { try $0.allocatedBytes() } == [8192, 8192, 64 * 512])
    #expect(disk.links.allSatisfy { $0.sizeBytes == 64 * 512 })
  }

  @Test("what is asked of the disk data base is the child's, then its parents'")
  func facts() throws {
    try flatBase()
    try link(
      "c.vmdk", cid: "1", parent: ("beef", "base.vmdk"), grain: 0, fill: 1,
      ddb: "ddb.geometry.heads = \"9\"\nddb.toolsVersion = \"2\"")
    let disk = try open("c.vmdk")
    // The builder's image has a uuid of its own; see below for one that has none.
    #expect(disk.facts["toolsVersion"] == "2" && disk.facts["geometry.heads"] == "9")
    #expect(disk.facts["geometry.cylinders"] == nil, "half of two geometries is none")
    #expect(disk.facts["adapterType"] == "lsilogic" && disk.facts["longContentID"] == nil)
    #expect(disk.diskUUID == DiskID("6000c299d3f5dcad9e253e89482c3fde"))
    var child = try folder.read("c.vmdk")
    replace("ddb.uuid", with: "ddb.noid", in: &child)
    try folder.write("c.vmdk", child)
    #expect(try open("c.vmdk").diskUUID == DiskID("6000c299000000000000000000000007"))
  }

  @Test("a zeroed grain of the child hides the parent's data")
  func zeroed() throws {
    try flatBase()
    var builder = SparseImageBuilder()
    builder.flags |= 0b100
    builder.capacity = 64
    builder.entries = [(1, 1, true, true)]
    builder.extraLines = "parentFileNameHint=\"base.vmdk\""
    var bytes = builder.build()
    replace("parentCID=ffffffff", with: "parentCID=beef", in: &bytes)
    try folder.write("c.vmdk", bytes)
    let disk = try open("c.vmdk")
    var expected = [UInt8](repeating: 0xBA, count: 64 * 512)
    expected.replaceSubrange(8192..<16_384, with: repeatElement(0, count: 8192))
    #expect(try contents(of: disk) == expected)
    #expect(
      try allocatedRanges(of: disk) == [
        ByteRange(offset: 0, length: 8192), ByteRange(offset: 16_384, length: 16_384),
      ])
  }

  @Test("a parent that does not fit is refused, each with its own reason")
  func misfits() throws {
    try flatBase()
    func code(_ parent: (String, String), _ part: String, capacity: UInt64 = 64) throws -> VMDKError.Code {
      try link("c.vmdk", cid: "1", parent: parent, grain: 0, fill: 1, capacity: capacity)
      let error = try refusal(of: "c.vmdk", in: folder)
      #expect(error.description.hasPrefix("c.vmdk: ") && error.description.contains(part), "\(error)")
      #expect(error.remedy == .abandonPass)
      return error.code
    }
    #expect(
      try code(("0000bee0", "base.vmdk"), "Content ID mismatch (parentCID 0000bee0 != CID 0000beef of")
        == .parentContentMismatch)
    #expect(
      try code(
        ("beef", "base.vmdk"), "the capacity of each link is different (80 != 64 sectors", capacity: 80)
        == .parentCapacityDiffers)
    #expect(
      try code(("beef", "gone/g.vmdk"), "(looked for \"gone/g.vmdk\", \"g.vmdk\")") == .parentMissing)
    #expect(
      try code(("beef", "/vmfs/volumes/x/g.vmdk"), "its parent \"/vmfs/volumes/x/g.vmdk\" is not there")
        == .parentMissing)
  }

  @Test("halves of a parent are damage")
  func contradictions() throws {
    try folder.write("a", [UInt8](repeating: 1, count: 4096))
    let child = replacing(
      "parentCID=ffffffff", with: "parentCID=12345678\nparentFileNameHint=\"base.vmdk\"",
      in: descriptorText(extents: "RW 8 FLAT \"a\" 0"))
    func error(_ text: String) throws -> VMDKError {
      try folder.write("d.vmdk", text)
      return try refusal(of: "d.vmdk", in: folder)
    }
    let noHint = try error(replacing("parentFileNameHint=\"base.vmdk\"", with: "", in: child))
    #expect(noHint.code == .parentContradiction)
    #expect(noHint.description.contains("parentCID names a parent, but no parentFileNameHint"))
    let noID = try error(replacing("parentCID=12345678", with: "parentCID=ffffffff", in: child))
    #expect(noID.code == .parentContradiction)
    #expect(noID.description.contains("parentCID says there is no parent"))
  }

  @Test("a chain that comes back to itself ends at once")
  func cycles() throws {
    try link("a.vmdk", cid: "1", parent: ("2", "b.vmdk"), grain: 0, fill: 1)
    try link("b.vmdk", cid: "2", parent: ("1", "a.vmdk"), grain: 0, fill: 1)
    #expect(try refusal(of: "a.vmdk", in: folder).code == .chainCycle)
    try link("self.vmdk", cid: "3", parent: ("3", "./self.vmdk"), grain: 0, fill: 1)
    #expect(try refusal(of: "self.vmdk", in: folder).code == .chainCycle)
    try #require(Glibc.link(folder.path + "/self.vmdk", folder.path + "/other.vmdk") == 0)
    try link("self.vmdk", cid: "3", parent: ("3", "other.vmdk"), grain: 0, fill: 1)
    #expect(try refusal(of: "self.vmdk", in: folder).code == .chainCycle)
  }

  @Test("64 links are read, 65 are refused")
  func depth() throws {
    try flatBase("l0", cid: "00000000")
    for number in 1...64 {
      let text = replacing(
        "parentCID=ffffffff",
        with: "parentCID=\(number - 1)\nparentFileNameHint=\"l\(number - 1).vmdk\"",
        in: descriptorText(createType: "custom", extents: "RW 63 ZERO\nRW 1 FLAT \"tail\" \(number)"))
      try folder.write("l\(number).vmdk", replacing("CID=a1b2c3d4", with: "CID=\(number)", in: text))
    }
    try folder.write("tail", [UInt8](repeating: 5, count: 65 * 512))
    // Decimal numbers up to 9 are hexadecimal ones too; beyond, each is its own text in both places.
    #expect(try open("l63.vmdk").links.count == 64)
    let error = try refusal(of: "l64.vmdk", in: folder)
    #expect(error.code == .chainTooDeep && error.path == "l64.vmdk")
  }

  @Test("what is wrong with a parent is said before any extent is looked for")
  func parentFirst() throws {
    let base = descriptorText(
      createType: "vmfs", header: "encryptionKeys=\"x\"", extents: "RW 8 VMFS \"gone\"")
    try folder.write("base.vmdk", base)
    try folder.write(
      "c.vmdk",
      replacing(
        "parentCID=ffffffff", with: "parentCID=a1b2c3d4\nparentFileNameHint=\"base.vmdk\"",
        in: descriptorText(createType: "vmfsSparse", extents: "RW 8 VMFSSPARSE \"gone too\"")))
    let error = try refusal(of: "c.vmdk", in: folder)
    #expect(error.code == .encrypted && error.path == "base.vmdk")
  }

  @Test("an embedded descriptor may take one sector or many", arguments: [1, 20, 64, 20_480] as [UInt64])
  func embedded(_ sectors: UInt64) throws {
    var builder = SparseImageBuilder()
    builder.descriptorSectors = sectors
    builder.grains = [(2, [UInt8](repeating: 7, count: 8192))]
    try folder.write("disk.vmdk", builder.build())
    #expect(try contents(of: open("disk.vmdk")) == builder.content())
    if sectors == 20_480 {
      builder.descriptorSectors += 1
      try folder.write("disk.vmdk", builder.build())
      #expect(try refusal(of: "disk.vmdk", in: folder).code == .descriptorTooLarge)
    }
  }

  @Test("an image that was copied from elsewhere may go on calling itself by that path")
  func ownName() throws {
    var builder = SparseImageBuilder()
    builder.grains = [(2, [UInt8](repeating: 7, count: 8192))]
    var image = builder.build()
    replace("\"disk.vmdk\"", with: "\"C:\\d.vmdk\"", in: &image)
    try folder.write("copy.vmdk", image)
    let disk = try open("copy.vmdk")
    #expect(try contents(of: disk) == builder.content())
    #expect(disk.warnings == ["copy.vmdk: the image calls itself C:\\d.vmdk"])
  }

  @Test("an extent that a parent has already is refused")
  func sharedExtent() throws {
    try flatBase()
    try folder.write(
      "c.vmdk",
      replacing(
        "parentCID=ffffffff", with: "parentCID=beef\nparentFileNameHint=\"base.vmdk\"",
        in: descriptorText(extents: "RW 64 FLAT \"base-flat.vmdk\" 0")))
    #expect(try refusal(of: "c.vmdk", in: folder).code == .sameRangeTwice)
  }
}
