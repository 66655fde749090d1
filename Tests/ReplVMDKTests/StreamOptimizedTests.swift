import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("stream-optimized extents") struct StreamOptimizedTests {
  private func open(
    _ builder: StreamOptimizedBuilder, _ context: ExtentContext = ExtentContext()
  ) throws -> OpenedExtent {
    try MemoryFile(try builder.build()).open(.sparse, sectors: Int64(builder.capacity), context)
  }

  private func text(_ random: inout SeededGenerator, _ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 65...68, using: &random) }
  }

  @Test("both layouts, stored and packed grains in any order give the same bytes", arguments: 1...12)
  func shapes(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var builder = StreamOptimizedBuilder()
    builder.version = .random(in: 1...3, using: &random)
    builder.hasFooter = Bool.random(using: &random)
    builder.hasProgressMarkers = Bool.random(using: &random)
    builder.grainSectors = [8, 128].randomElement(using: &random)!
    builder.capacity = .random(in: 1...(builder.grainSectors == 8 ? 8800 : 3000), using: &random)
    let count = Int((builder.capacity + builder.grainSectors - 1) / builder.grainSectors)
    let indexes = (0..<count).shuffled(using: &random).prefix(.random(in: 0...30, using: &random))
    builder.grains = indexes.map { index in
      let isStored = Bool.random(using: &random)
      let size = Int(builder.grainSectors) * 512
      return .init(
        index: index, data: isStored ? random.bytes(size) : text(&random, size), isStored: isStored)
    }
    let extent = try open(builder).extent
    let zeros = [UInt8](repeating: 0, count: Int(extent.sizeBytes))
    #expect(try contents(of: extent, over: zeros) == builder.content(), "seed \(seed)")
    try expectNextPresent(extent, "seed \(seed)")
  }

  @Test("the last grain may end with the disk, or be written in full", arguments: [5, 16])
  func shortTail(_ sectors: Int) throws {
    var random = SeededGenerator(seed: 3)
    var builder = StreamOptimizedBuilder()
    builder.grains = [.init(index: 600, data: text(&random, sectors * 512))]
    let extent = try open(builder).extent
    let zeros = [UInt8](repeating: 0, count: Int(extent.sizeBytes))
    #expect(try contents(of: extent, over: zeros) == builder.content())
    #expect(try extent.piece(at: 600 * 8192) == LinkPiece(kind: .data, length: 5 * 512))
  }

  @Test("a grain that is read page by page is unpacked once while it is kept")
  func unpackedOnce() throws {
    var random = SeededGenerator(seed: 4)
    var builder = StreamOptimizedBuilder()
    builder.grains = [
      .init(index: 0, data: text(&random, 8192)), .init(index: 1, data: text(&random, 8192)),
    ]
    let file = CountingFile(MemoryFile(try builder.build()))
    let extent = try OpenedExtent.open(
      kind: .sparse, file: file, path: "d", extentSectors: Int64(builder.capacity), context: ExtentContext()
    ).extent
    var page = [UInt8](repeating: 0, count: 512)
    var disk: [UInt8] = []
    for offset in stride(from: Int64(0), to: 16_384, by: 512) {
      try page.withUnsafeMutableBytes { try extent.read(into: $0, at: offset) }
      disk += page
    }
    #expect(disk == builder.grains[0].data + builder.grains[1].data)
    // Three for opening; a block of the directory and a table; then a marker and a stream for each grain.
    #expect(file.reads <= 3 + 2 + 4, "\(file.reads) reads")
  }

  @Test("unpacked grains are kept within the limit, and read again when they are gone")
  func boundedGrains() throws {
    var random = SeededGenerator(seed: 5)
    var builder = StreamOptimizedBuilder()
    builder.grains = (0..<8).map { .init(index: $0, data: text(&random, 8192)) }
    let extent = try open(builder, ExtentContext(tableBytes: 1, grainBytes: 9000, claimBytes: 0)).extent
    var found = [UInt8](repeating: 0, count: 8 * 8192)
    for _ in 0..<2 {
      try found.withUnsafeMutableBytes { try extent.read(into: $0, at: 0) }
      #expect(found == builder.content()[..<found.count].map { $0 })
    }
  }

  static let refusals: [Refusal<StreamOptimizedBuilder>] = [
    Refusal(.noFooter, "the header promises a footer") { $0.cut = 512 },
    Refusal(.noFooter, "was interrupted: run it again") { $0.cut = 3 * 512 },
    Refusal(.noFooter, "the header promises a footer") { $0.cut = 1 },
    Refusal(.noFooter, "the header promises a footer") { $0.footerMarker = 2 },
    Refusal(.noFooter, "the header promises a footer") { $0.endMarker = 1 },
    Refusal(.wrongMagic, "does not start with KDMV") { $0.footerMagic = Array("KDMW".utf8) },
    Refusal(.badFooter, "the footer says that the grain directory follows") { $0.footerDirectory = .max },
    Refusal(.badFooter, "the footer has 9606 sectors in grains of 16") { $0.footerCapacity = 9606 },
    Refusal(.outsideFile, "the grain directory at sector 99999 lies outside") { $0.footerDirectory = 99_999 },
    Refusal(.outsideFile, "the grain directory at sector 0 lies outside") { $0.footerDirectory = 0 },
    Refusal(.badCompression, "flags 10001 and compression 1 contradict") { $0.flags = 0x10001 },
    Refusal(.badCompression, "flags 20001 and compression 1 contradict") { $0.flags = 0x20001 },
    Refusal(.badCompression, "flags 30001 and compression 0 contradict") { $0.compression = 0 },
    Refusal(.badCompression, "flags 30001 and compression 2 contradict") { $0.compression = 2 },
    Refusal(.unknownFlags, "flags 70001 hold bits") { $0.flags = 0x70001 },
    Refusal(.unsupportedVersion, "version 4 of the sparse format") { $0.version = 4 },
    Refusal(.badGrainSize, "grains of 8192 sectors are not a power of two up to 4096") {
      $0.grainSectors = 8192
    },
  ]

  @Test("what the header and the footer cannot both mean is refused by name", arguments: refusals)
  func refusing(_ example: Refusal<StreamOptimizedBuilder>) throws {
    var builder = StreamOptimizedBuilder()
    builder.grains = [.init(index: 0, data: [UInt8](repeating: 1, count: 8192))]
    example.change(&builder)
    let error = try #require(throws: VMDKError.self) { _ = try open(builder) }
    #expect(error.code == example.code && error.description.hasPrefix("d.vmdk: sector "), "\(error)")
    #expect(error.description.contains(example.text), "\(error)")
  }

  private static func packed(_ data: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    var stream = StreamOptimizedBuilder.stored(data)
    change(&stream)
    return stream
  }

  /// Grain 0 lies at sector 128.
  static let damages: [Damage<StreamOptimizedBuilder>] = [
    Damage("sector 128: grain 0: its marker is for sector 16 of the disk, not 0") { $0.grains[0].lba = 16 },
    Damage("sector 128: grain 0: its marker gives 0 bytes, not 1 to 16384") { $0.grains[0].size = 0 },
    Damage("sector 128: grain 0: its marker gives 16385 bytes") { $0.grains[0].size = 16_385 },
    Damage("grain 0: its 16384 bytes lie outside the extent") { $0.grains[0].size = 16_384 },
    Damage("grain 0: it cannot be unpacked: zlib block: incorrect data check") {
      $0.grains[0].stream = packed($0.grains[0].data) { $0[$0.count - 1] ^= 1 }
    },
    Damage("grain 0: it cannot be unpacked: zlib block: incorrect data check") {
      $0.grains[0].stream = packed($0.grains[0].data) { $0[100] ^= 1 }
    },
    Damage("grain 0: it cannot be unpacked: zlib block: incorrect header check") {
      $0.grains[0].stream = packed($0.grains[0].data) { $0[0] = 0 }
    },
    Damage("grain 0: it cannot be unpacked: zlib block: ends after") {
      $0.grains[0].stream = packed($0.grains[0].data) { $0.removeLast() }
    },
    Damage("grain 0: it cannot be unpacked: zlib block: 1 bytes follow its end") {
      $0.grains[0].stream = packed($0.grains[0].data) { $0.append(0) }
    },
    Damage("grain 0: it cannot be unpacked: zlib block: holds 7680 bytes, 8192 were declared") {
      $0.grains[0].data.removeLast(512)
    },
    Damage("grain 0: it cannot be unpacked: zlib block: holds more than the 8192 bytes declared") {
      $0.grains[0].data += [1]
    },
    Damage("grain 600: it cannot be unpacked: zlib block: holds 2048 bytes, 2560 were declared") {
      $0.grains[0] = .init(index: 600, data: [UInt8](repeating: 1, count: 4 * 512))
    },
    Damage("grain 600: it cannot be unpacked: zlib block: holds 3072 bytes, 8192 were declared") {
      $0.grains[0] = .init(index: 600, data: [UInt8](repeating: 1, count: 6 * 512))
    },
    Damage("sector 999999: grain 1 lies outside the extent") { $0.entries = [(1, 999_999)] },
    Damage("sector 1: grain 1 is marked as zeros, which the header does not allow") { $0.entries = [(1, 1)] },
    Damage("sector 2: grain 1 lies on top of the image's own tables") { $0.entries = [(1, 2)] },
    Damage("sector 128: grain 1: its marker is for sector 0 of the disk, not 16") {
      $0.entries = [(1, 128)]
    },
  ]

  @Test("a grain that cannot be right makes reading fail with sector and grain", arguments: damages)
  func damaged(_ damage: Damage<StreamOptimizedBuilder>) throws {
    var builder = StreamOptimizedBuilder()
    builder.hasProgressMarkers = false
    builder.grains = [.init(index: 0, data: [UInt8](repeating: 1, count: 8192))]
    damage.change(&builder)
    try expectDamage(damage.text, try open(builder).extent)
  }
}
