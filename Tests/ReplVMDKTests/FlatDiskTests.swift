import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("flat disks") struct FlatDiskTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func open(_ name: String = "d.vmdk") throws -> VMDKImage {
    try VMDKImage.open(name, in: folder.directory)
  }

  @Test(
    "every createType over flat files is read alike",
    arguments: [
      ("monolithicFlat", "FLAT \"d-flat.vmdk\" 0"), ("vmfs", "VMFS \"d-flat.vmdk\""),
      ("VMFS", "vmfs \"d-flat.vmdk\" 0"),
      ("vmfsThin", "VMFS \"d-flat.vmdk\""), ("vmfsPreallocated", "VMFS \"d-flat.vmdk\""),
      ("vmfsEagerZeroedThick", "VMFS \"d-flat.vmdk\""), ("vmfsThick", "VMFS \"d-flat.vmdk\""),
      ("twoGbMaxExtentFlat", "FLAT \"d-flat.vmdk\" 0"), ("2GbMaxExtentFlat", "FLAT \"d-flat.vmdk\" 0"),
    ])
  func createTypes(_ createType: String, _ extent: String) throws {
    var random = SeededGenerator(seed: 1)
    let data = random.bytes(64 * 512)
    try folder.write("d-flat.vmdk", data)
    try folder.write("d.vmdk", descriptorText(createType: createType, extents: "RW 64 \(extent)"))
    let disk = try open()
    #expect(disk.sizeBytes == 64 * 512)
    #expect(try contents(of: disk) == data)
    #expect(disk.files.map(\.relativePath) == ["d.vmdk", "d-flat.vmdk"])
    #expect(disk.files.map(\.role) == [.descriptor, .flat])
    #expect(disk.warnings.isEmpty)
    #expect(disk.contentID == 0xA1B2_C3D4)
  }

  @Test("extents follow one another, whatever their size, access and offset")
  func pieces() throws {
    var random = SeededGenerator(seed: 2)
    var expected: [UInt8] = []
    var lines = ""
    for number in 0..<40 {
      let offset = number % 3
      let sectors = 1 + number % 4
      let file = random.bytes((offset + sectors) * 512)
      try folder.write("p \(number).bin", file)
      expected += file[(offset * 512)...]
      lines += "\(number % 2 == 0 ? "RW" : "rdonly") \(sectors) FLAT \"p \(number).bin\" \(offset)\n"
    }
    try folder.write("d.vmdk", descriptorText(createType: "twoGbMaxExtentFlat", extents: lines))
    let disk = try open()
    #expect(try contents(of: disk) == expected)
    for _ in 0..<300 {
      let start = Int.random(in: 0..<expected.count, using: &random)
      let end = Int.random(in: start...expected.count, using: &random)
      let range = ByteRange(offset: Int64(start), length: Int64(end - start))
      #expect(try bytes(of: disk, range) == Array(expected[start..<end]), "seed 2, \(range)")
    }
    #expect(try allocatedRanges(of: disk) == [ByteRange(offset: 0, length: disk.sizeBytes)])
  }

  @Test("holes of flat files are left out of the allocated ranges, per extent and clipped to it")
  func holes() throws {
    let mebibyte = 1 << 20
    // Data at 1 MiB in a file of 4 MiB; the extent takes 3 MiB of it from 512 KiB on.
    try folder.writeSparse("a", sizeBytes: 4 * mebibyte, data: [1, 2, 3], at: mebibyte)
    try folder.writeSparse("b", sizeBytes: mebibyte, data: [9], at: 0)
    try folder.write(
      "d.vmdk",
      descriptorText(
        createType: "twoGbMaxExtentFlat", extents: "RW 6144 FLAT \"a\" 1024\nRW 2048 FLAT \"b\" 0"))
    let disk = try open()
    let ranges = try allocatedRanges(of: disk)
    let expected = try contents(of: disk)
    #expect(expected[mebibyte / 2] == 1 && expected[3 * mebibyte] == 9)
    #expect(ranges.reduce(0) { $0 + $1.length } < 1 << 20, "holes were not seen: \(ranges)")
    for (index, byte) in expected.enumerated() where byte != 0 {
      #expect(ranges.contains { $0.offset <= Int64(index) && Int64(index) < $0.end })
    }
    #expect(try disk.allocatedRange(atOrAfter: disk.sizeBytes) == nil)
  }

  @Test("the same file may be used twice, but never for the same bytes")
  func sameFile() throws {
    try folder.write("a", (0..<8).flatMap { [UInt8](repeating: $0, count: 512) })
    func write(_ extents: String) throws {
      try folder.write("d.vmdk", descriptorText(createType: "twoGbMaxExtentFlat", extents: extents))
    }
    try write("RW 2 FLAT \"a\" 4\nRW 2 FLAT \"a\" 0\nRW 2 FLAT \"./a\" 2")
    #expect(
      try stride(from: 0, to: 3072, by: 512).map { try contents(of: open())[$0] } == [4, 5, 0, 1, 2, 3])
    for overlap in ["RW 2 FLAT \"a\" 1", "RW 1 FLAT \"a\" 0", "RW 8 FLAT \"./a\" 0", "RW 2 FLAT \"hard\" 1"] {
      if overlap.contains("hard") { try #require(link(folder.path + "/a", folder.path + "/hard") == 0) }
      try write("RW 2 FLAT \"a\" 0\n" + overlap)
      let error = try refusal(of: "d.vmdk", in: folder)
      #expect(error.code == .sameRangeTwice && error.place == .line(9), "\(error)")
    }
    try write("RW 1 FLAT \"d.vmdk\" 0\n#" + String(repeating: "x", count: 512))
    #expect(try refusal(of: "d.vmdk", in: folder).code == .sameRangeTwice)
  }

  @Test("a file shorter than its extent is refused, a longer one is read with a warning")
  func lengths() throws {
    try folder.write("d.vmdk", descriptorText(extents: "RW 4 FLAT \"a\" 0"))
    try folder.write("a", [UInt8](repeating: 7, count: 4 * 512 - 1))
    let error = try refusal(of: "d.vmdk", in: folder)
    #expect(error.code == .fileTooShort && error.remedy == .abandonPass)
    #expect(
      error.description
        == "a: sector 3: the file ends here, its extent at sector 4: the file was cut short or is still"
        + " being written"
    )
    try folder.write("a", [UInt8](repeating: 7, count: 5 * 512))
    let disk = try open()
    #expect(disk.sizeBytes == 4 * 512)
    #expect(disk.warnings == ["a: 512 bytes follow its extent and are not read"])
  }

  @Test("a file that is cut short after it was opened makes no zeros")
  func cutShort() throws {
    try folder.write("d.vmdk", descriptorText(extents: "RW 64 FLAT \"a\" 0"))
    try folder.write("a", [UInt8](repeating: 7, count: 64 * 512))
    let disk = try open()
    try #require(truncate(folder.path + "/a", 4096) == 0)
    for offset in [0, 8192] as [Int64] {
      let error = try #require(throws: IOError.self) { _ = try disk.allocatedRange(atOrAfter: offset) }
      #expect(error.kind == .unexpectedEnd && error.remedy == .abandonPass)
    }
    #expect(throws: IOError.self) { _ = try contents(of: disk) }
  }

  @Test("reading past the end of the disk throws and does not trap")
  func pastEnd() throws {
    try folder.write("d.vmdk", descriptorText(extents: "RW 4 FLAT \"a\" 0"))
    try folder.write("a", [UInt8](repeating: 7, count: 4 * 512))
    let disk = try open()
    for range in [(2048, 1), (2047, 2), (-1, 1), (Int64.max, 1)] as [(Int64, Int)] {
      var buffer = [UInt8](repeating: 0, count: range.1)
      #expect(throws: IOError.self) {
        try buffer.withUnsafeMutableBytes { try disk.read(into: $0, at: range.0) }
      }
    }
    var none: [UInt8] = []
    try none.withUnsafeMutableBytes { try disk.read(into: $0, at: 2048) }
    #expect(none.isEmpty)
  }

  @Test("a disk in a folder below the VM's finds its extents beside itself")
  func subfolder() throws {
    try folder.makeDirectory("old disks")
    try folder.write("old disks/d.vmdk", descriptorText(extents: "RW 1 FLAT \"a\" 0"))
    try folder.write("old disks/a", [UInt8](repeating: 3, count: 512))
    #expect(try contents(of: open("old disks/d.vmdk")) == [UInt8](repeating: 3, count: 512))
  }

  @Test(
    "names that are absolute or leave the folder are refused by name",
    arguments: [
      "/etc/passwd", "../secret.bin", "x/../../secret.bin", "..", "C:\\\\vms\\\\a", "c:/a/b", "..\\\\a",
      "\\\\\\\\host\\\\a", "/",
    ])
  func leavingNames(_ name: String) throws {
    try folder.write("d.vmdk", descriptorText(extents: "RW 1 FLAT \"\(name)\" 0"))
    let error = try refusal(of: "d.vmdk", in: folder)
    #expect(error.code == .nameLeavesFolder && error.remedy == .stopVM)
    #expect(error.description.contains("line 8: the file name"))
    let opened = try #require(throws: VMDKError.self) { _ = try open(name) }
    #expect(opened.code == .nameLeavesFolder)
  }

  @Test(
    "names that are no names are refused", arguments: ["", "a\u{7}b", String(repeating: "a", count: 1025)])
  func oddNames(_ name: String) throws {
    try folder.write("d.vmdk", descriptorText(extents: "RW 1 FLAT \"\(name)\" 0"))
    let error = try refusal(of: "d.vmdk", in: folder)
    #expect(error.code == .unsafeName)
    #expect(!error.description.utf8.contains(7))
  }

  @Test("links, directories, FIFOs and missing files are refused, each with its own reason")
  func fileKinds() throws {
    try folder.write("real", [UInt8](repeating: 1, count: 512))
    try folder.makeLink("link", to: "real")
    try folder.makeDirectory("dir")
    try folder.makeLink("dirlink", to: "dir")
    try folder.write("dir/x", [UInt8](repeating: 1, count: 512))
    try #require(mkfifo(folder.path + "/fifo", 0o600) == 0)
    let cases: [(String, VMDKError.Code)] = [
      ("link", .symbolicLink), ("dirlink/x", .symbolicLink), ("dir", .notARegularFile),
      ("fifo", .notARegularFile),
      ("nowhere", .missingFile),
    ]
    for (name, code) in cases {
      try folder.write("d.vmdk", descriptorText(extents: "RW 1 FLAT \"\(name)\" 0"))
      let error = try refusal(of: "d.vmdk", in: folder)
      #expect(error.code == code && error.description.contains("\"\(name)\""), "\(error)")
    }
    #expect(try refusal(of: "missing.vmdk", in: folder).code == .missingFile)
    #expect(try refusal(of: "link", in: folder).code == .symbolicLink)
  }

  @Test("several threads read one disk at once")
  func threads() async throws {
    var random = SeededGenerator(seed: 3)
    let data = random.bytes(256 * 512)
    try folder.write("a", data)
    try folder.write("d.vmdk", descriptorText(extents: "RW 256 FLAT \"a\" 0"))
    let disk = try open()
    let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
      for start in 0..<8 {
        group.addTask {
          let range = ByteRange(offset: Int64(start * 1000), length: 100_000)
          let expected = Array(data[(start * 1000)..<(start * 1000 + 100_000)])
          return try (0..<20).filter { _ in try bytes(of: disk, range) != expected }.count
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(wrong == 0)
  }
}
