import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("space-efficient deltas (seSparse)") struct SESparseTests {
  private func open(_ builder: SESparseBuilder) throws -> OpenedExtent {
    try MemoryFile(builder.build()).open(.seSparse, sectors: Int64(builder.capacity))
  }

  @Test("all four kinds of entry in any order give the same bytes over any parent", arguments: 1...10)
  func kinds(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var builder = SESparseBuilder()
    builder.capacity = .random(in: 1...70_000, using: &random)
    builder.reversesTables = Bool.random(using: &random)
    let count = Int((builder.capacity + 7) / 8)
    let indexes = (0..<count).shuffled(using: &random).prefix(.random(in: 0...60, using: &random))
    builder.grains = indexes.map { index in
      switch Int.random(in: 0..<4, using: &random) {
      case 0: (index, .zero)
      case 1: (index, .unmapped)
      default: (index, .data(random.bytes(4096)))
      }
    }
    let parent = parentBytes(Int(builder.capacity) * 512)
    let extent = try open(builder).extent
    #expect(try contents(of: extent, over: parent) == builder.content(over: parent), "seed \(seed)")
    try expectNextPresent(extent, "seed \(seed)")
  }

  @Test("a delta nobody has written to is absent everywhere")
  func empty() throws {
    let opened = try open(SESparseBuilder())
    #expect(try opened.extent.nextPresent(atOrAfter: 0) == nil)
    #expect(try opened.extent.piece(at: 5) == LinkPiece(kind: .absent, length: 32_768 * 512 - 5))
    #expect(!opened.isMarkedInUse && opened.warnings.isEmpty)
  }

  @Test("the number of a grain is rotated: its low 12 bits stand above its high 48")
  func rotatedNumber() throws {
    // Golden: 0x3 | low 12 bits 0x234 | high 48 bits 0x000000000001 is grain 0x1234.
    #expect(SESparseBuilder.entry(0x1234) == 0x3234_0000_0000_0001)
    let folder = try TestFolder()
    var builder = SESparseBuilder()
    builder.grains = [(3, .raw(0x3234_0000_0000_0001))]
    let image = builder.build()
    let data = [UInt8](repeating: 0x5A, count: 4096)
    let place = (builder.firstGrainSector + 0x1234 * 8) * 512
    try folder.writeSparse("d", sizeBytes: place + 4096, data: data, at: place)
    let descriptor = Glibc.open(folder.path + "/d", O_WRONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try #require(image.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) } == image.count)
    let file = try folder.directory.openPosixFile("d", .read)
    let extent = try OpenedExtent.open(
      kind: .seSparse, file: file, path: "d", extentSectors: Int64(builder.capacity), context: ExtentContext()
    ).extent
    #expect(try extent.piece(at: 3 * 4096) == LinkPiece(kind: .data, length: 4096))
    #expect(Array(try contents(of: extent)[(3 * 4096)..<(4 * 4096)]) == data)
  }

  @Test("a disk of 3 TiB is read to its end")
  func large() throws {
    var builder = SESparseBuilder()
    builder.capacity = 3 << 31
    // All tables but the last two are absent: the file stops after two.
    builder.reversesTables = true
    let data = [UInt8](repeating: 7, count: 4096)
    let tables = builder.tableCount
    try #require(tables == 196_608)
    let folder = try TestFolder()
    var small = builder
    small.capacity = 65_536
    small.grains = [(8191, .data(data))]
    // The small image's places, moved behind the large directory.
    let shift = builder.directorySectors - small.directorySectors
    var image = small.build()
    func put(_ value: UInt64, _ offset: Int) {
      image.replaceSubrange(offset..<(offset + 8), with: little(value))
    }
    put(builder.capacity, 16)
    put(UInt64(builder.directorySectors), 136)
    for offset in [144, 160, 176, 192] {
      let bytes = LittleEndian(Array(image[offset..<(offset + 8)]))
      put(bytes.uint64(0) + UInt64(shift), offset)
    }
    let head = Array(image[..<(9 * 512)])
    let tail = Array(image[(9 * 512)...])
    var directory = [UInt8](repeating: 0, count: builder.directorySectors * 512)
    directory.replaceSubrange(
      ((tables - 1) * 8)..<(tables * 8), with: head[(8 * 512 + 8)..<(8 * 512 + 16)])
    try folder.write("d", Array(head[..<(8 * 512)]) + directory + tail)
    let file = try folder.directory.openPosixFile("d", .read)
    let extent = try OpenedExtent.open(
      kind: .seSparse, file: file, path: "d", extentSectors: 3 << 31, context: ExtentContext()
    ).extent
    let last = extent.sizeBytes - 4096
    #expect(extent.sizeBytes == 3 << 40)
    #expect(try extent.nextPresent(atOrAfter: 0) == last)
    var found = [UInt8](repeating: 0, count: 4096)
    try found.withUnsafeMutableBytes { try extent.read(into: $0, at: last) }
    #expect(found == data)
  }

  static let refusals: [Refusal<SESparseBuilder>] = [
    Refusal(.wrongMagic, "starts with bf ba fe ca, which is no seSparse extent") { $0.magic = 0xCAFE_BABF },
    Refusal(.unsupportedVersion, "version 200000002 of the seSparse format") { $0.version = 0x2_0000_0002 },
    Refusal(.badCapacity, "a capacity of 0 sectors") {
      $0.patches = [(16, [UInt8](repeating: 0, count: 8))]
    },
    Refusal(.badCapacity, "a capacity of 18446744073709551615 sectors") {
      $0.patches = [(16, [UInt8](repeating: 0xFF, count: 8))]
    },
    Refusal(.badGrainSize, "grains of 16 sectors") { $0.grainSectors = 16 },
    Refusal(.badGrainSize, "grains of 0 sectors") { $0.grainSectors = 0 },
    Refusal(.badTableSize, "grain tables of 128 sectors") { $0.tableSectors = 128 },
    Refusal(.unknownFlags, "flags 1 are not known") { $0.flags = 1 },
    Refusal(.reservedNotZero, "sector 0: byte 48 of the header") { $0.patches = [(48, [1])] },
    Refusal(.reservedNotZero, "sector 0: byte 79 of the header") { $0.patches = [(79, [1])] },
    Refusal(.reservedNotZero, "sector 0: byte 511 of the header") { $0.patches = [(511, [1])] },
    Refusal(.reservedNotZero, "sector 1: byte 32 of the header") { $0.patches = [(544, [1])] },
    Refusal(.wrongMagic, "sector 1: the volatile header starts with cafebabe") {
      $0.volatileMagic = 0xCAFE_BABE
    },
    Refusal(.journalNotReplayed, "sector 1: the journal must be replayed first") { $0.replayJournal = 1 },
    Refusal(.outsideFile, "the volatile header at sector 0") { $0.patches = [(80, little(UInt64(0)))] },
    Refusal(.outsideFile, "the grain tables at sector 999999") {
      $0.patches = [(144, little(UInt64(999_999)))]
    },
    Refusal(.outsideFile, "the grains at sector 18446744073709551615") {
      $0.patches = [(192, little(UInt64.max))]
    },
    Refusal(.outsideFile, "the grain directory at sector 9223372036854775808") {
      $0.patches = [(128, little(UInt64(1) << 63))]
    },
    Refusal(.badDirectory, "the grain directory has 0 sectors, the disk needs 1") {
      $0.patches = [(136, little(UInt64(0)))]
    },
    Refusal(.directoryTooLarge, "of 4194304 entries is larger than the file") {
      $0.patches = [(16, little(UInt64(1) << 37))]
    },
    Refusal(.truncatedHeader, "511 bytes are less than a header") {
      $0.cut = $0.firstGrainSector * 512 - 511
    },
  ]

  @Test("a header that cannot be right is refused by name, without allocating for it", arguments: refusals)
  func refusing(_ example: Refusal<SESparseBuilder>) throws {
    var builder = SESparseBuilder()
    example.change(&builder)
    let error = try #require(throws: VMDKError.self) { _ = try open(builder) }
    #expect(error.code == example.code && error.description.hasPrefix("d.vmdk: "), "\(error)")
    #expect(error.description.contains(example.text), "\(error)")
  }

  @Test("an extent line of another size is refused")
  func size() throws {
    let error = try #require(throws: VMDKError.self) {
      _ = try MemoryFile(SESparseBuilder().build()).open(.seSparse, sectors: 8)
    }
    #expect(error.code == .capacityMismatch)
  }

  /// The good image: directory at 8, tables at 9 (the second one of the disk) and 73, the rest from 137 on,
  /// grains at 144; grains 0 and 1 make it end at 160.
  static let damages: [Damage<SESparseBuilder>] = [
    Damage("grain 2 has the entry 1, which is of no known kind") { $0.grains += [(2, .raw(1))] },
    Damage("grain 2 has the entry 4000000000000000, which is of no known kind") {
      $0.grains += [(2, .raw(4 << 60))]
    },
    Damage("sector 160: grain 2 lies outside the extent (ends at 160)") {
      $0.grains += [(2, .raw(SESparseBuilder.entry(2)))]
    },
    Damage("grain 2 lies outside the extent (ends at 160)") {
      $0.grains += [(2, .raw(0x3FFF_FFFF_FFFF_FFFF))]
    },
    Damage("sector 144: grain 2 shares its place with grain 0") {
      $0.grains += [(2, .raw(SESparseBuilder.entry(0)))]
    },
    Damage("sector 144: grain 4100 shares its place with another grain or table") {
      $0.grains += [(4100, .raw(SESparseBuilder.entry(0)))]
    },
    Damage("sector 9: grain 0 lies on top of the image's own tables") {
      $0.patches = [(192, little(UInt64(9)))]
    },
    Damage("grain table 1 has the entry 1000000000000002, which stands for no table (2 fit)") {
      $0.tables = [(1, 0x1000_0000_0000_0002)]
    },
    Damage("grain table 1 has the entry 1, which stands for no table") { $0.tables = [(1, 1)] },
    Damage("grain table 1 shares its place with table 0") { $0.tables = [(1, 0x1000_0000_0000_0001)] },
    Damage("grain table 0 lies outside the extent (ends at 160)") {
      $0.patches = [(152, little(UInt64(1) << 20))]
      $0.tables = [(0, 0x1000_0000_0000_0004)]
    },
  ]

  @Test("a table that cannot be right makes reading fail with sector and grain", arguments: damages)
  func damaged(_ damage: Damage<SESparseBuilder>) throws {
    var builder = SESparseBuilder()
    let data = [UInt8](repeating: 9, count: 4096)
    builder.grains = [(0, .data(data)), (1, .data(data))]
    #expect(builder.firstGrainSector == 144)
    damage.change(&builder)
    try expectDamage(damage.text, try open(builder).extent)
  }
}
