import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("ESXi snapshot deltas (COWD)") struct COWDTests {
  private func open(_ builder: COWDBuilder) throws -> OpenedExtent {
    try MemoryFile(builder.build()).open(.vmfsSparse, sectors: Int64(builder.capacity))
  }

  @Test("any grain size and order of grains gives the same bytes over any parent", arguments: 1...12)
  func shapes(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var builder = COWDBuilder()
    builder.grainSectors = [1, 1, 8, 128].randomElement(using: &random)!
    builder.capacity = .random(in: 1...(4096 * min(builder.grainSectors, 8) + 100), using: &random)
    let count = Int((builder.capacity + builder.grainSectors - 1) / builder.grainSectors)
    let indexes = (0..<count).shuffled(using: &random).prefix(.random(in: 0...40, using: &random))
    builder.grains = indexes.map { ($0, random.bytes(Int(builder.grainSectors) * 512)) }
    let parent = parentBytes(Int(builder.capacity) * 512)
    let extent = try open(builder).extent
    #expect(try contents(of: extent, over: parent) == builder.content(over: parent), "seed \(seed)")
    try expectNextPresent(extent, "seed \(seed)")
  }

  @Test("a sector of zeros that lies in the file hides the parent's bytes")
  func zerosHideParent() throws {
    var builder = COWDBuilder()
    builder.grains = [(7, [UInt8](repeating: 0, count: 512))]
    let extent = try open(builder).extent
    #expect(try extent.piece(at: 7 * 512) == LinkPiece(kind: .data, length: 512))
    #expect(try extent.piece(at: 8 * 512 + 3) == LinkPiece(kind: .absent, length: 4088 * 512 - 3 - 0))
    #expect(try extent.nextPresent(atOrAfter: 0) == 7 * 512)
    #expect(try extent.nextPresent(atOrAfter: 8 * 512) == nil)
    let disk = try contents(of: extent)
    #expect(disk[(7 * 512)..<(8 * 512)].allSatisfy { $0 == 0 } && disk[8 * 512] == 0xEE)
  }

  @Test("a delta in use is read with a warning")
  func inUse() throws {
    var builder = COWDBuilder()
    builder.uncleanShutdown = 1
    let opened = try open(builder)
    #expect(opened.isMarkedInUse)
    #expect(opened.warnings == ["d.vmdk: the image is in use, or was when its host stopped"])
    #expect(try opened.extent.nextPresent(atOrAfter: 0) == nil)
  }

  @Test("a header is decoded field by field")
  func golden() throws {
    var bytes: [UInt8] = [
      0x43, 0x4F, 0x57, 0x44,  //  0  COWD
      0x01, 0x00, 0x00, 0x00,  //  4  version 1
      0x03, 0x00, 0x00, 0x00,  //  8  flags 3
      0x80, 0x10, 0x00, 0x00,  // 12  4224 sectors
      0x01, 0x00, 0x00, 0x00,  // 16  grains of 1 sector
      0x04, 0x00, 0x00, 0x00,  // 20  grain directory at sector 4
      0x02, 0x00, 0x00, 0x00,  // 24  of 2 entries
      0x4B, 0x00, 0x00, 0x00,  // 28  next free sector
    ]
    bytes += [UInt8](repeating: 0, count: 4096 - bytes.count)
    bytes[1648] = 1  //             1648  in use
    let header = try COWDHeader(ExtentHead(MemoryFile(bytes), path: "d.vmdk"))
    #expect(header.shape == GrainShape(capacitySectors: 4224, grainSectors: 1, entriesPerTable: 4096))
    #expect(header.directory == SectorRange(start: 4, count: 1) && header.isMarkedInUse)
    #expect(header.shape.tableCount == 2 && header.metadataSectors == 4)
  }

  static let refusals: [Refusal<COWDBuilder>] = [
    Refusal(.wrongMagic, "starts with 4b 44 4d 56, which is no COWD extent") {
      $0.magic = Array("KDMV".utf8)
    },
    Refusal(.unfinishedFile, "has not finished it") { $0.magic = Array("kdmv".utf8) },
    Refusal(.unsupportedVersion, "version 2 of the COWD format") { $0.version = 2 },
    Refusal(.unknownFlags, "flags 7 are not the 3") { $0.flags = 7 },
    Refusal(.badCapacity, "a capacity of 0 sectors") { ($0.capacity, $0.directoryEntries) = (0, 0) },
    Refusal(.badGrainSize, "grains of 0 sectors") { ($0.grainSectors, $0.directoryEntries) = (0, 1) },
    Refusal(.badGrainSize, "grains of 3 sectors") { $0.grainSectors = 3 },
    Refusal(.badGrainSize, "grains of 4096 sectors") { $0.grainSectors = 4096 },
    Refusal(.badDirectory, "has 3 entries, the disk needs 2") { $0.directoryEntries = 3 },
    Refusal(.badDirectory, "at sector 3 lies inside the header") { $0.gdOffset = 3 },
    Refusal(.outsideFile, "the grain directory at sector 4294967295 lies outside") { $0.gdOffset = .max },
    Refusal(.directoryTooLarge, "of 1048576 entries is larger than the file") {
      ($0.capacity, $0.directoryEntries, $0.cut) = (.max, 1 << 20, 1 << 22)
    },
    Refusal(.truncatedHeader, "2047 bytes are less than a header") { $0.cut = 513 },
  ]

  @Test("a header that cannot be right is refused by name, without allocating for it", arguments: refusals)
  func refusing(_ example: Refusal<COWDBuilder>) throws {
    var builder = COWDBuilder()
    example.change(&builder)
    let error = try #require(throws: VMDKError.self) { _ = try open(builder) }
    #expect(error.code == example.code && error.description.hasPrefix("d.vmdk: "), "\(error)")
    #expect(error.description.contains(example.text), "\(error)")
  }

  @Test("an extent line of another size is refused")
  func size() throws {
    let error = try #require(throws: VMDKError.self) {
      _ = try MemoryFile(COWDBuilder().build()).open(.vmfsSparse, sectors: 4225)
    }
    #expect(error.code == .capacityMismatch && error.description.contains("4225"), "\(error)")
  }

  /// The good image: directory at 4, table at 5, grains 0 and 1 at 37 and 38, ends at 39.
  static let damages: [Damage<COWDBuilder>] = [
    Damage("sector 39: grain 1 lies outside the extent (ends at 39)") { $0.entries = [(1, 39)] },
    Damage("sector 4294967295: grain 1 lies outside the extent") { $0.entries = [(1, .max)] },
    Damage("sector 3: grain 1 lies inside the metadata (ends at 4)") { $0.entries = [(1, 3)] },
    Damage("sector 1: grain 1 lies inside the metadata (ends at 4)") { $0.entries = [(1, 1)] },
    Damage("sector 4: grain 1 lies on top of the image's own tables") { $0.entries = [(1, 4)] },
    Damage("sector 6: grain 1 lies on top of the image's own tables") { $0.entries = [(1, 6)] },
    Damage("sector 37: grain 1 shares its place with grain 0") { $0.entries = [(1, 37)] },
    Damage("sector 38: grain table 0 lies outside the extent (ends at 39)") { $0.tables = [(0, 38)] },
    Damage("sector 3: grain table 0 lies on top of the image's header") { $0.tables = [(0, 3)] },
    Damage("sector 5: grain table 1 shares its place with table 0") { $0.tables = [(1, 5)] },
    // The second table comes at 39 and makes the file end at 71.
    Damage("sector 37: grain 4100 shares its place with another grain or table") {
      $0.entries = [(4100, 37)]
    },
    Damage("sector 6: grain 4100 shares its place with another grain or table") { $0.entries = [(4100, 6)] },
  ]

  @Test("a table that cannot be right makes reading fail with sector and grain", arguments: damages)
  func damaged(_ damage: Damage<COWDBuilder>) throws {
    var builder = COWDBuilder()
    builder.grains = [(0, [UInt8](repeating: 1, count: 512)), (1, [UInt8](repeating: 2, count: 512))]
    damage.change(&builder)
    try expectDamage(damage.text, try open(builder).extent)
  }
}
