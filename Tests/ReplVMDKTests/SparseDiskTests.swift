import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("monolithic sparse disks") struct SparseDiskTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func open(_ builder: SparseImageBuilder) throws -> VMDKImage {
    try folder.write("disk.vmdk", builder.build())
    return try VMDKImage.open("disk.vmdk", in: folder.directory)
  }

  private func grain(_ random: inout SeededGenerator, _ builder: SparseImageBuilder) -> [UInt8] {
    random.bytes(Int(builder.grainSectors) * 512)
  }

  @Test("any version, grain size, table size and order of grains gives the same bytes", arguments: 1...24)
  func shapes(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var builder = SparseImageBuilder()
    builder.version = .random(in: 1...3, using: &random)
    builder.flags = Bool.random(using: &random) ? 0b11 : 0b01
    builder.grainSectors = [8, 16, 128].randomElement(using: &random)!
    builder.entriesPerTable = [128, 256, 512].randomElement(using: &random)!
    builder.capacity = .random(in: 1...(builder.grainSectors * 600), using: &random)
    let count = Int((builder.capacity + builder.grainSectors - 1) / builder.grainSectors)
    let indexes = (0..<count).shuffled(using: &random).prefix(.random(in: 0...30, using: &random))
    builder.grains = indexes.map { ($0, grain(&random, builder)) }
    let expected = builder.content()
    let disk = try open(builder)
    #expect(try contents(of: disk) == expected, "seed \(seed)")
    for _ in 0..<50 {
      let start = Int.random(in: 0..<expected.count, using: &random)
      let end = Int.random(in: start...min(expected.count, start + 300_000), using: &random)
      let range = ByteRange(offset: Int64(start), length: Int64(end - start))
      #expect(try bytes(of: disk, range) == Array(expected[start..<end]), "seed \(seed), \(range)")
    }
    try expectExact(disk, builder, seed)
  }

  /// The ranges cover exactly the grains that are there, adjacent ones as one.
  private func expectExact(_ disk: VMDKImage, _ builder: SparseImageBuilder, _ seed: UInt64) throws {
    let size = Int64(builder.grainSectors * 512)
    let ranges = try allocatedRanges(of: disk)
    let grains = ranges.flatMap { range in (range.offset / size)..<((range.end + size - 1) / size) }
    #expect(grains == builder.grains.map { Int64($0.index) }.sorted(), "seed \(seed)")
    for (left, right) in zip(ranges, ranges.dropFirst()) { #expect(left.end < right.offset, "seed \(seed)") }
  }

  @Test("a fresh image is all zeros and has no allocated range")
  func empty() throws {
    let disk = try open(SparseImageBuilder())
    #expect(try contents(of: disk).allSatisfy { $0 == 0 })
    #expect(try disk.allocatedRange(atOrAfter: 0) == nil)
    #expect(disk.createType == .monolithicSparse && disk.files.map(\.role) == [.sparse])
    #expect(disk.diskUUID == DiskID("6000c299d3f5dcad9e253e89482c3fde"))
  }

  @Test("a zeroed grain reads as zeros where the header allows it")
  func zeroedGrain() throws {
    var random = SeededGenerator(seed: 5)
    var builder = SparseImageBuilder()
    builder.version = 2
    builder.flags |= 0b100
    builder.grains = [(0, grain(&random, builder)), (1, grain(&random, builder))]
    builder.entries = [(1, 1, true, true), (2, 1, true, true)]
    let disk = try open(builder)
    #expect(try contents(of: disk)[..<8192] == builder.grains[0].data[...])
    #expect(try contents(of: disk)[8192...].allSatisfy { $0 == 0 })
    #expect(try allocatedRanges(of: disk) == [ByteRange(offset: 0, length: 8192)])
  }

  @Test("a directory entry of 0, or of 1 with zeroed grains, is a whole table of zeros")
  func absentTable() throws {
    for (flags, value) in [(0b01, 0), (0b101, 1)] as [(UInt32, UInt32)] {
      var random = SeededGenerator(seed: 6)
      var builder = SparseImageBuilder()
      builder.flags = flags
      builder.capacity = 512 * 16 * 2
      builder.grains = [(3, grain(&random, builder)), (600, grain(&random, builder))]
      builder.directoryEntries = [(0, value)]
      let disk = try open(builder)
      #expect(try allocatedRanges(of: disk) == [ByteRange(offset: 600 * 8192, length: 8192)])
      #expect(try bytes(of: disk, ByteRange(offset: 3 * 8192, length: 8192)).allSatisfy { $0 == 0 })
    }
  }

  struct Damage: Sendable, CustomTestStringConvertible {
    let text: String
    let change: @Sendable (inout SparseImageBuilder) -> Void
    var testDescription: String { text }
  }

  /// The builder's image has two grains at sectors 32 and 48 and ends at 64; directories at 21 and 26.
  private static let damages: [Damage] = [
    Damage(text: "sector 2176: grain 1 lies outside the extent (ends at 64)") {
      $0.entries = [(1, 2176, true, true)]
    },
    Damage(text: "sector 49: grain 1 lies outside the extent (ends at 64)") {
      $0.entries = [(1, 49, true, true)]
    },
    Damage(text: "sector 4294967295: grain 1 lies outside") { $0.entries = [(1, .max, true, true)] },
    Damage(text: "sector 30: grain 1 lies inside the metadata (ends at 32)") {
      $0.entries = [(1, 30, true, true)]
    },
    Damage(text: "sector 1: grain 1 is marked as zeros, which the header does not allow") {
      $0.entries = [(1, 1, true, true)]
    },
    Damage(text: "sector 32: grain 1 shares its place with grain 0") { $0.entries = [(1, 32, true, true)] },
    Damage(text: "sector 40: grain 1 shares its place with grain 0") { $0.entries = [(1, 40, true, true)] },
    Damage(text: "sector 32: grain 9 shares its place with grain 0") { $0.entries = [(9, 32, true, true)] },
    Damage(text: "sector 20: grain 0 lies on top of the image's own tables") {
      ($0.overHead, $0.entries) = (2, [(0, 20, true, true)])
    },
    Damage(text: "sector 28: grain 0 lies on top of the image's own tables") {
      ($0.overHead, $0.entries) = (2, [(0, 28, true, true)])
    },
    Damage(text: "sector 61: grain table 0 lies outside the extent (ends at 64)") {
      ($0.flags, $0.directoryEntries) = (0b01, [(0, 61)])
    },
    Damage(text: "sector 1: grain table 0 lies on top of the image's header or directory") {
      ($0.flags, $0.directoryEntries) = (0b01, [(0, 1)])
    },
    Damage(text: "sector 21: grain table 0 lies on top of the image's header or directory") {
      ($0.flags, $0.directoryEntries) = (0b01, [(0, 21)])
    },
    Damage(text: "grain 1: the grain tables and their redundant copy differ (sectors 0 and 48)") {
      $0.entries = [(1, 0, true, false)]
    },
    Damage(text: "grain 1: the grain tables and their redundant copy differ (sectors 48 and 0)") {
      $0.entries = [(1, 0, false, true)]
    },
  ]

  @Test("a table that cannot be right makes reading fail with file, sector and grain", arguments: damages)
  func damaged(_ damage: Damage) throws {
    var random = SeededGenerator(seed: 7)
    var builder = SparseImageBuilder()
    builder.grains = [(0, grain(&random, builder)), (1, grain(&random, builder))]
    #expect(builder.metadataEnd == 32 && builder.rgd == 21 && builder.gd == 26)
    damage.change(&builder)
    let disk = try open(builder)
    for attempt in [
      { _ = try contents(of: disk) }, { _ = try allocatedRanges(of: disk) },
    ] {
      let error = try #require(throws: IOError.self) { try attempt() }
      #expect(error.kind == .damaged && error.remedy == .abandonPass)
      #expect(error.description.contains(damage.text), "\(error)")
      #expect(
        error.description.contains("disk.vmdk")
          && error.description.contains("damaged or still being written"))
    }
  }

  @Test("two directory entries never name the same table")
  func sharedTable() throws {
    var builder = SparseImageBuilder()
    builder.flags = 0b01
    builder.capacity = 512 * 16 * 3
    let first = UInt32(builder.gd + builder.directorySectors)
    builder.directoryEntries = [(2, first)]
    let disk = try open(builder)
    let error = try #require(throws: IOError.self) { _ = try contents(of: disk) }
    #expect(
      error.description.contains("sector \(first): grain table 2 shares its place with table 0"), "\(error)")
  }

  @Test("entries past the end of the disk mean nothing")
  func entriesPastEnd() throws {
    var builder = SparseImageBuilder()
    builder.capacity = 24
    builder.entries = [(2, .max, true, false)]
    #expect(try contents(of: open(builder)).allSatisfy { $0 == 0 })
  }

  @Test("the last grain of an odd disk may be short in the file, but not shorter than the disk")
  func shortLastGrain() throws {
    var random = SeededGenerator(seed: 8)
    var builder = SparseImageBuilder()
    builder.capacity = 16 + 5
    builder.grains = [(1, grain(&random, builder))]
    let image = builder.build()
    try folder.write("disk.vmdk", Array(image.dropLast(11 * 512)))
    let disk = try VMDKImage.open("disk.vmdk", in: folder.directory)
    #expect(try contents(of: disk) == builder.content())
    try folder.write("disk.vmdk", Array(image.dropLast(11 * 512 + 1)))
    let short = try VMDKImage.open("disk.vmdk", in: folder.directory)
    #expect(throws: IOError.self) { _ = try contents(of: short) }
  }

  @Test("an image in use, and one that calls itself by another name, are read with a warning")
  func warnings() throws {
    var builder = SparseImageBuilder()
    builder.uncleanShutdown = 1
    try folder.write("copy.vmdk", builder.build())
    let disk = try VMDKImage.open("copy.vmdk", in: folder.directory)
    #expect(disk.isMarkedInUse)
    #expect(
      disk.warnings == [
        "copy.vmdk: the image calls itself disk.vmdk",
        "copy.vmdk: the image is in use, or was when its host stopped",
      ])
  }

  @Test("a sparse image may have its descriptor beside it, as some tools write it")
  func separateDescriptor() throws {
    var builder = SparseImageBuilder()
    builder.grains = [(3, [UInt8](repeating: 7, count: 8192)), (0, [UInt8](repeating: 9, count: 8192))]
    var bare = builder.build()
    bare.replaceSubrange(28..<44, with: [UInt8](repeating: 0, count: 16))
    for image in [builder.build(), bare] {
      try folder.write("disk-s.vmdk", image)
      let lines = "RW 1157 SPARSE \"disk-s.vmdk\""
      try folder.write("disk.vmdk", descriptorText(createType: "monolithicSparse", extents: lines))
      let disk = try VMDKImage.open("disk.vmdk", in: folder.directory)
      #expect(try contents(of: disk) == builder.content() && disk.warnings.isEmpty)
      #expect(disk.files.map(\.role) == [.descriptor, .sparse])
    }
    for type in ["monolithicSparse", "streamOptimized"] {
      let two = "RW 1157 SPARSE \"disk-s.vmdk\"\nRW 8 SPARSE \"b.vmdk\""
      try folder.write("disk.vmdk", descriptorText(createType: type, extents: two))
      #expect(try refusal(of: "disk.vmdk", in: folder).code == .contradictoryExtents)
    }
  }

  @Test("a descriptor that does not fit its image is refused")
  func contradictions() throws {
    func code(_ change: (inout SparseImageBuilder) -> Void) throws -> VMDKError.Code {
      var builder = SparseImageBuilder()
      change(&builder)
      try folder.write("disk.vmdk", builder.build())
      return try refusal(of: "disk.vmdk", in: folder).code
    }
    #expect(try code { $0.extentSectors = 1158 } == .capacityMismatch)
    #expect(try code { $0.createType = "monolithicFlat" } == .contradictoryExtents)
    #expect(try code { $0.extraLines = "RW 8 SPARSE \"b.vmdk\"" } == .contradictoryExtents)
    #expect(try code { $0.magic = Array("kdmv".utf8) } == .unfinishedFile)
    try folder.write("disk.vmdk", Array(SparseImageBuilder().build()[..<511]))
    #expect(try refusal(of: "disk.vmdk", in: folder).code == .truncatedHeader)
    var piece = SparseImageBuilder().build()
    piece.replaceSubrange(28..<44, with: [UInt8](repeating: 0, count: 16))
    try folder.write("disk.vmdk", piece)
    #expect(try refusal(of: "disk.vmdk", in: folder).code == .noEmbeddedDescriptor)
  }

  @Test("tables are kept in bounded memory and loaded again when they are gone")
  func cache() throws {
    var cache = BoundedCache<Int, Int>(limit: 30)
    for key in 0..<10 {
      cache.insert(key * 2, for: key, cost: 10)
      cache.insert(key * 2, for: key, cost: 10)
      #expect(cache.count <= 3 && cache[key] == key * 2)
    }
    #expect((0..<10).filter { cache[$0] != nil } == [7, 8, 9])
  }
}
