import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("how names become files") struct OpeningTests {
  private let folder: TestFolder
  private let other: TestFolder

  init() throws {
    folder = try TestFolder()
    other = try TestFolder()
  }

  private func open(_ name: String, _ opening: DiskOpening = DiskOpening()) throws -> VMDKImage {
    try VMDKImage.open(name, in: folder.directory, opening)
  }

  private func child(of hint: String) -> String {
    replacing(
      "parentCID=ffffffff", with: "parentCID=a1b2c3d4\nparentFileNameHint=\"\(hint)\"",
      in: descriptorText(createType: "custom", extents: "RW 1 FLAT \"delta\" 0\nRW 7 ZERO"))
  }

  private func writeBase(in folder: TestFolder) throws {
    try folder.write("base.vmdk", descriptorText(extents: "RW 8 FLAT \"base-flat.vmdk\" 0"))
    try folder.write("base-flat.vmdk", [UInt8](repeating: 7, count: 4096))
  }

  @Test(
    "a parent in a mapped directory is found by its Windows or ESXi path; its extents lie beside it",
    arguments: [
      ("C:\\VMs\\base.vmdk", "c:\\vms"),
      ("/vmfs/volumes/5f3c/base.vmdk", "/vmfs/volumes/5f3c"), ("[ds1] base.vmdk", "[ds1]"),
    ])
  func mapped(_ hint: String, _ prefix: String) throws {
    try writeBase(in: other)
    try folder.write("delta", [UInt8](repeating: 1, count: 512))
    try folder.write("c.vmdk", child(of: hint))
    #expect(try refusal(of: "c.vmdk", in: folder).code == .parentMissing)
    let opening = DiskOpening(mappings: [PathMapping(prefix: prefix, directory: other.path)])
    let disk = try open("c.vmdk", opening)
    #expect(disk.files.map(\.place.directory) == [folder.path, folder.path, other.path, other.path])
    #expect(disk.files.last?.relativePath == other.path + "/base-flat.vmdk")
    // Named by the VMX as the host does.
    #expect(try open(hint, opening).files.map(\.place.name) == ["base.vmdk", "base-flat.vmdk"])
  }

  @Test("a datastore that is not mapped is named, and so is where to map it")
  func unmappedDatastore() throws {
    let named = try refusal(of: "[ds1] x/b.vmdk", in: folder)
    #expect(named.code == .missingFile)
    #expect(named.detail.contains("path_map has no entry for \"[ds1]\""), "\(named)")
    try folder.write("delta", [UInt8](repeating: 1, count: 512))
    try folder.write("c.vmdk", child(of: "[ds 2] base.vmdk"))
    let parent = try refusal(of: "c.vmdk", in: folder)
    #expect(parent.code == .parentMissing)
    #expect(parent.detail.contains("path_map has no entry for \"[ds 2]\""), "\(parent)")
    try folder.write("c.vmdk", descriptorText(createType: "vmfs", extents: "RW 1 VMFS \"[ds1] x-flat.vmdk\""))
    #expect(try refusal(of: "c.vmdk", in: folder).detail.contains("path_map has no entry"))
    #expect(try refusal(of: "/vmfs/volumes/5f/x.vmdk", in: folder).detail.contains("path_map"))
    #expect(!(try refusal(of: "none.vmdk", in: folder)).detail.contains("path_map"))
  }

  @Test("two names that are one text and different bytes are two files")
  func canonicalEquivalents() throws {
    let names = ["b\u{FC}ro", "bu\u{308}ro"]
    for (number, name) in names.enumerated() {
      try folder.write(name, [UInt8](repeating: UInt8(number + 1), count: 1024))
    }
    let extents = "RW 1 FLAT \"\(names[0])\" 0\nRW 1 FLAT \"\(names[1])\" 1"
    try folder.write("d.vmdk", descriptorText(createType: "custom", extents: extents))
    let bytes = try contents(of: try open("d.vmdk"))
    #expect(bytes == [UInt8](repeating: 1, count: 512) + [UInt8](repeating: 2, count: 512))
  }

  @Test("a folder that was opened by a path with dots in it is the same folder")
  func untidyFolder() throws {
    try writeBase(in: folder)
    let untidy = try PosixDirectory(path: "/tmp/../" + folder.path + "/.//")
    let disk = try VMDKImage.open("base.vmdk", in: untidy)
    #expect(disk.files.map(\.place.directory) == [folder.path, folder.path])
    #expect(disk.files.map(\.relativePath) == ["base.vmdk", "base-flat.vmdk"])
    #expect(try VMDKImage.open(folder.path + "/base.vmdk", in: untidy).files.count == 2)
  }

  @Test("a parent of another system's path is found beside its child when it was copied there")
  func beside() throws {
    try writeBase(in: folder)
    try folder.write("delta", [UInt8](repeating: 1, count: 512))
    for hint in ["D:\\\\old\\\\base.vmdk", "/vmfs/volumes/x/y/base.vmdk", "moved/base.vmdk"] {
      try folder.write("c.vmdk", child(of: hint))
      #expect(try open("c.vmdk").links.map(\.path) == ["c.vmdk", "base.vmdk"], "\(hint)")
    }
  }

  @Test("a link out of a mapped directory is refused as one out of the VM's folder is")
  func links() throws {
    try writeBase(in: other)
    try other.makeDirectory("d")
    try other.makeLink("d/link.vmdk", to: folder.path + "/delta")
    try folder.write("delta", [UInt8](repeating: 1, count: 512))
    let opening = DiskOpening(mappings: [PathMapping(prefix: "/x", directory: other.path + "/d")])
    let linked = try #require(throws: VMDKError.self) { try open("/x/link.vmdk", opening) }
    #expect(linked.code == .symbolicLink)
    let above = try #require(throws: VMDKError.self) { try open("/x/../base.vmdk", opening) }
    #expect(above.code == .nameLeavesFolder)
  }

  @Test(
    "a name in the descriptor's encoding is found as UTF-8 or by its bytes, and not guessed when it is both")
  func encodedNames() throws {
    let gbk: [UInt8] = [0xB7, 0xFE, 0xCE, 0xF1]  // 服务
    let parts = descriptorText(header: "encoding=\"GBK\"", extents: "RW 1 FLAT \"@.bin\" 0").utf8.split(
      separator: UInt8(ascii: "@"))
    try folder.write("d.vmdk", Array(parts[0]) + gbk + Array(parts[1]))
    #expect(try refusal(of: "d.vmdk", in: folder).code == .missingFile)
    try folder.write("服务.bin", [UInt8](repeating: 1, count: 512))
    #expect(try contents(of: open("d.vmdk")) == [UInt8](repeating: 1, count: 512))
    let raw = Array(folder.path.utf8) + [0x2F] + gbk + Array(".bin".utf8)
    try raw.map { CChar(bitPattern: $0) }.withTerminator { path in
      try #require(rename(folder.path + "/服务.bin", path) == 0)
    }
    let disk = try open("d.vmdk")
    #expect(try contents(of: disk) == [UInt8](repeating: 1, count: 512))
    let place = disk.files[1].place
    #expect(place.rawName == gbk + Array(".bin".utf8) && place.name == "服务.bin")
    #expect(try disk.files[1].reopened().status().inode == disk.files[1].status.inode)
    try folder.write("服务.bin", [UInt8](repeating: 2, count: 512))
    let error = try refusal(of: "d.vmdk", in: folder)
    #expect(error.code == .ambiguousName && error.remedy == .stopVM)
  }

  @Test("with substitutes only they are opened, whatever lies at the places")
  func substitutes() throws {
    try folder.write("d.vmdk", descriptorText(extents: "RW 1 FLAT \"a\" 0\nRW 1 FLAT \"b\" 0"))
    for (name, fill) in [("a", 1), ("b", 2), ("frozen", 9)] as [(String, UInt8)] {
      try folder.write(name, [UInt8](repeating: fill, count: 512))
    }
    let live = try open("d.vmdk")
    var frozen: [DiskFileName: PosixFile] = [:]
    for file in live.files { frozen[file.place] = try file.file }
    frozen[live.files[1].place] = try folder.directory.openPosixFile("frozen", .read)
    let view = try open("d.vmdk", DiskOpening(substitutes: frozen))
    #expect(try contents(of: view) == [UInt8](repeating: 9, count: 512) + [UInt8](repeating: 2, count: 512))
    frozen[live.files[2].place] = nil
    let error = try #require(throws: VMDKError.self) {
      try open("d.vmdk", DiskOpening(substitutes: frozen))
    }
    #expect(error.code == .missingFile && error.place == .line(9))
    let none = try #require(throws: VMDKError.self) { try open("d.vmdk", DiskOpening(substitutes: [:])) }
    #expect(none.code == .missingFile)
  }

  /// Descriptors of this process that are open on files beneath `path`.
  private func openCount(beneath path: String) -> Int {
    (0..<4096).count { number in
      var buffer = [CChar](repeating: 0, count: 1024)
      let length = readlink("/proc/self/fd/\(number)", &buffer, buffer.count)
      guard length > 0 else { return false }
      return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        .hasPrefix(path + "/")
    }
  }

  @Test("a disk of a thousand files keeps few of them open, and reads each")
  func manyFiles() throws {
    var lines = ""
    for number in 0..<1000 {
      try folder.write("f\(number)", [UInt8](repeating: UInt8(number % 251), count: 512))
      lines += "RW 1 FLAT \"f\(number)\" 0\n"
    }
    try folder.write("d.vmdk", descriptorText(createType: "twoGbMaxExtentFlat", extents: lines))
    let disk = try open("d.vmdk")
    #expect(disk.files.count == 1001)
    let expected = (0..<1000).flatMap { [UInt8](repeating: UInt8($0 % 251), count: 512) }
    #expect(try contents(of: disk) == expected)
    #expect(try allocatedRanges(of: disk) == [ByteRange(offset: 0, length: 512_000)])
    let count = openCount(beneath: folder.path)
    #expect(count > 0 && count <= Limits.openFiles, "\(count) files are open")
    #expect(try disk.files.map { try $0.file.status().inode } == disk.files.map(\.status.inode))
    // A file that had to be closed is not taken for another one of its name.
    try #require(rename(folder.path + "/f7", folder.path + "/f3") == 0)
    _ = try bytes(of: disk, ByteRange(offset: 512 * 500, length: 512 * 500))
    let error = try #require(throws: IOError.self) {
      _ = try bytes(of: disk, ByteRange(offset: 512 * 3, length: 512))
    }
    #expect(error.description.contains("another file was put in its place"), "\(error)")
  }

  @Test("one of a mix of extents may be sparse, zeros or beside an offset")
  func custom() throws {
    var random = SeededGenerator(seed: 12)
    var sparse = SparseImageBuilder()
    sparse.capacity = 40
    sparse.grains = [(1, random.bytes(8192))]
    var piece = sparse.build()
    // A piece of a split disk: no embedded descriptor.
    piece.replaceSubrange(28..<44, with: [UInt8](repeating: 0, count: 16))
    try folder.write("s.vmdk", piece)
    let flat = random.bytes(5 * 512)
    try folder.write("f.bin", flat)
    try folder.write(
      "d.vmdk",
      descriptorText(
        createType: "CUSTOM",
        extents: """
          RW 2 FLAT "f.bin" 3

          NOACCESS 6 ZERO
          rdonly 40 SPARSE "s.vmdk"
          RW 3 FLAT "f.bin" 0
          """))
    let disk = try open("d.vmdk")
    let zeros = [UInt8](repeating: 0, count: 6 * 512)
    #expect(try contents(of: disk) == flat[1536...] + zeros + sparse.content() + flat[..<1536])
    #expect(disk.files.map(\.relativePath) == ["d.vmdk", "f.bin", "s.vmdk"])
    #expect(try allocatedRanges(of: disk).map(\.offset) == [0, 8 * 512 + 8192, 48 * 512])
  }
}

extension [CChar] {
  fileprivate func withTerminator(_ body: ([CChar]) throws -> Void) rethrows { try body(self + [0]) }
}
