import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("hosted sparse extents") struct HostedSparseExtentTests {
  /// Directories at 21 and 26, tables at 22 and 27, grains at 32 and 48; ends at 64.
  private var builder: SparseImageBuilder {
    var builder = SparseImageBuilder()
    builder.grains = [
      (0, [UInt8](repeating: 0xA1, count: 8192)), (1, [UInt8](repeating: 0xB2, count: 8192)),
    ]
    return builder
  }

  private func wipe(_ image: inout [UInt8], _ sectors: Range<Int>, with byte: UInt8) {
    let range = (sectors.lowerBound * 512)..<(sectors.upperBound * 512)
    image.replaceSubrange(range, with: [UInt8](repeating: byte, count: range.count))
  }

  private func open(
    _ builder: SparseImageBuilder, _ context: ExtentContext = ExtentContext()
  ) throws -> any LinkExtent {
    try MemoryFile(builder.build()).open(.sparse, sectors: Int64(builder.capacity), context).extent
  }

  @Test("without a parent's bytes, a grain is absent, zero or data")
  func kinds() throws {
    var builder = builder
    builder.flags |= 0b100
    builder.entries = [(2, 1, true, true), (3, 1, true, true)]
    let extent = try open(builder)
    #expect(try extent.piece(at: 100) == LinkPiece(kind: .data, length: 2 * 8192 - 100))
    #expect(try extent.piece(at: 2 * 8192) == LinkPiece(kind: .zero, length: 2 * 8192))
    #expect(
      try extent.piece(at: 4 * 8192) == LinkPiece(kind: .absent, length: extent.sizeBytes - 4 * 8192))
    #expect(try extent.nextPresent(atOrAfter: 3 * 8192 + 1) == 3 * 8192 + 1)
    #expect(try extent.nextPresent(atOrAfter: 4 * 8192) == nil)
    try expectNextPresent(extent, "kinds")
  }

  @Test("a directory entry of 1 is a table of zeros that hide the parent")
  func zeroTable() throws {
    var builder = builder
    builder.flags = 0b101
    builder.directoryEntries = [(0, 1)]
    let extent = try open(builder)
    #expect(try extent.piece(at: 0) == LinkPiece(kind: .zero, length: extent.sizeBytes))
    #expect(try extent.nextPresent(atOrAfter: 7) == 7)
  }

  @Test("reading what is not there is an error, not zeros")
  func readingAbsent() throws {
    let extent = try open(builder)
    var buffer = [UInt8](repeating: 0, count: 512)
    #expect(throws: IOError.self) { try extent.read(&buffer, from: 5 * 8192) }
    #expect(throws: IOError.self) { try extent.read(&buffer, from: 2 * 8192 - 256) }
    try extent.read(&buffer, from: 2 * 8192 - 512)
    #expect(buffer == [UInt8](repeating: 0xB2, count: 512))
  }

  // MARK: Two copies

  struct Loss: Sendable, CustomTestStringConvertible {
    let name: String
    /// Which copy is said to be damaged; nil for the redundant one.
    let isPrimary: Bool
    let why: String
    let change: @Sendable (inout [UInt8]) -> Void
    var testDescription: String { name }
  }

  private static func fill(_ sector: Int, _ count: Int, _ byte: UInt8) -> @Sendable (inout [UInt8]) -> Void {
    { image in
      image.replaceSubrange(
        (sector * 512)..<((sector + count) * 512), with: [UInt8](repeating: byte, count: count * 512))
    }
  }

  static let losses: [Loss] = [
    Loss(name: "primary directory zero", isPrimary: true, why: "all zeros", change: fill(26, 1, 0)),
    Loss(name: "primary table zero", isPrimary: true, why: "all zeros", change: fill(27, 4, 0)),
    Loss(
      name: "primary directory garbage", isPrimary: true, why: "grain table 0 lies outside",
      change: fill(26, 1, 0xFF)),
    Loss(
      name: "primary table garbage", isPrimary: true, why: "grain 0 lies outside", change: fill(27, 4, 0xFF)),
    Loss(name: "copy's directory zero", isPrimary: false, why: "all zeros", change: fill(21, 1, 0)),
    Loss(name: "copy's table zero", isPrimary: false, why: "all zeros", change: fill(22, 4, 0)),
    Loss(
      name: "copy's directory garbage", isPrimary: false, why: "grain table 0 lies outside",
      change: fill(21, 1, 0xFF)),
    Loss(
      name: "copy's table garbage", isPrimary: false, why: "grain 0 lies outside", change: fill(22, 4, 0x7F)),
  ]

  @Test("one lost copy of the tables is no loss, and is told", arguments: losses)
  func lostCopy(_ loss: Loss) throws {
    var image = builder.build()
    loss.change(&image)
    let context = ExtentContext()
    let opened = try MemoryFile(image).open(.sparse, sectors: 1157, context)
    #expect(opened.warnings.isEmpty && context.warnings.isEmpty)
    let zeros = [UInt8](repeating: 0, count: 1157 * 512)
    #expect(try opened.extent.nextPresent(atOrAfter: 0) == 0)
    #expect(try contents(of: opened.extent, over: zeros) == builder.content())
    let what =
      loss.isPrimary ? "the grain directory or its tables" : "the redundant copy of the grain tables"
    try #require(context.warnings.count == 1)
    #expect(context.warnings[0].hasPrefix("d.vmdk: \(what) are damaged, the other copy is used"))
    #expect(context.warnings[0].contains(loss.why), "\(context.warnings[0])")
  }

  @Test("two copies that differ in one entry are refused, whatever that entry is")
  func oneEntry() throws {
    let there = UInt32(builder.place(ofGrain: 0))
    let next = UInt32(builder.place(ofGrain: builder.grains.count))
    let grain = try #require(builder.grains.first).index
    let other = try #require(builder.grains.last).index
    for (changed, value) in [(grain, 0), (grain, next), (grain, 0x7FFF_FFFF), (grain, 1), (other, there)] {
      for isPrimary in [true, false] {
        var differing = builder
        differing.entries = [(changed, value, isPrimary, !isPrimary)]
        let image = differing.build() + [UInt8](repeating: 5, count: 16 * 512)
        let extent = try MemoryFile(image).open(.sparse, sectors: 1157).extent
        try expectDamage("their redundant copy differ", extent)
      }
    }
    var alone = builder
    alone.grains = [builder.grains[0]]
    alone.entries = [(grain, 0, true, false)]
    try expectDamage(
      "their redundant copy differ", MemoryFile(alone.build()).open(.sparse, sectors: 1157).extent)
  }

  @Test("a directory that the header cannot find, or the disk cannot read, is no loss either")
  func lostPlace() throws {
    let zeros = [UInt8](repeating: 0, count: 1157 * 512)
    for isPrimary in [true, false] {
      var lost = builder
      (lost.gdOffset, lost.rgdOffset) = isPrimary ? (9999, nil) : (nil, 9999)
      let opened = try MemoryFile(lost.build()).open(.sparse, sectors: 1157)
      #expect(try contents(of: opened.extent, over: zeros) == builder.content())
      let used = isPrimary ? "the redundant grain directory is used" : "the primary one is used"
      #expect(opened.warnings.count == 1 && opened.warnings[0].contains(used), "\(opened.warnings)")
      let broken = Int64(isPrimary ? 26 : 21) * 512
      for place in [broken, broken + 512] {
        let context = ExtentContext()
        let file = MemoryFile(builder.build(), unreadable: place..<(place + 1))
        let extent = try file.open(.sparse, sectors: 1157, context).extent
        #expect(try contents(of: extent, over: zeros) == builder.content())
        #expect(context.warnings.count == 1 && context.warnings[0].contains("Input/output error"))
      }
    }
  }

  @Test("two lost copies are an error, and so is a copy that is gone beside one that is damaged")
  func bothLost() throws {
    for change in [
      [(26..<27, 0xFF), (21..<22, 0xFF)], [(27..<31, 0xFF), (21..<22, 0)], [(22..<26, 0xFF), (26..<27, 0)],
    ] as [[(Range<Int>, UInt8)]] {
      var image = builder.build()
      for (sectors, byte) in change { wipe(&image, sectors, with: byte) }
      let extent = try MemoryFile(image).open(.sparse, sectors: 1157).extent
      try expectDamage("lies outside the extent", extent)
    }
  }

  @Test("both places wrong are refused with the primary's")
  func bothPlacesWrong() throws {
    var lost = builder
    (lost.gdOffset, lost.rgdOffset) = (9999, 8888)
    let error = try #require(throws: VMDKError.self) { _ = try open(lost) }
    #expect(error.code == .outsideFile && error.description.contains("sector 9999"), "\(error)")
  }

  // MARK: Claims

  @Test("two tables whose grains share a place are found out, in whatever order they are read")
  func sharedAcrossTables() throws {
    var shared = builder
    shared.flags = 0b01
    shared.capacity = 512 * 16 * 3
    let first = UInt32(shared.place(ofGrain: 0))
    shared.entries = [(1030, first, true, true)]
    let extent = try open(shared)
    _ = try extent.piece(at: 0)
    try expectDamage("sector \(first): grain 1030 shares its place with another grain", extent)
    let reversed = try open(shared)
    _ = try reversed.piece(at: 1030 * 8192)
    try expectDamage("sector \(first): grain 0 shares its place with another grain", reversed)
    // Asked again, the answer stays.
    try expectDamage("grain 0 shares its place", reversed)
  }

  @Test("a conflict takes nothing, and a table over a grain is found out like a grain over a table")
  func conflicts() {
    let shape = GrainShape(capacitySectors: 1 << 20, grainSectors: 2, entriesPerTable: 4)
    let claims = GrainTableClaims(shape: shape, fileSizeBytes: 1 << 20, ExtentContext())
    #expect(claims.claim(table: 0, at: nil, entries: [10, -1, 0, 14]) == nil)
    #expect(claims.claim(table: 0, at: nil, entries: [10, -1, 0, 14]) == nil)
    #expect(claims.claim(table: 1, at: nil, entries: [20, 22, 11, 0]) == .entry(2))
    #expect(claims.claim(table: 1, at: nil, entries: [20, 22, 11, 0]) == .entry(2))
    #expect(claims.claim(table: 1, at: SectorRange(start: 13, count: 4), entries: [20]) == .table)
    #expect(claims.claim(table: 1, at: SectorRange(start: 15, count: 5), entries: [20, 22]) == nil)
    #expect(claims.claim(table: 2, at: nil, entries: [30, 16]) == .entry(1))
    #expect(claims.claim(table: 2, at: nil, entries: [30, 40]) == nil)
  }

  @Test("a table that is loaded again claims nothing again, and little memory means fewer checks only")
  func claimsOnce() throws {
    var shared = builder
    shared.flags = 0b01
    shared.capacity = 512 * 16 * 3
    shared.grains.append((1100, [UInt8](repeating: 1, count: 8192)))
    let small = ExtentContext(tableBytes: 1, grainBytes: 1, claimBytes: Limits.claimBytes)
    let extent = try open(shared, small)
    let zeros = [UInt8](repeating: 0, count: Int(extent.sizeBytes))
    for _ in 0..<3 { #expect(try contents(of: extent, over: zeros) == shared.content()) }
    shared.entries = [(1030, UInt32(shared.place(ofGrain: 0)), true, true)]
    let unchecked = try open(shared, ExtentContext(claimBytes: 0))
    #expect(try unchecked.piece(at: 1030 * 8192).kind == .data)
    #expect(try unchecked.piece(at: 0).kind == .data)
  }

  @Test("the extents of a disk share one limit")
  func sharedMemory() {
    let context = ExtentContext(tableBytes: 4000, grainBytes: 100, claimBytes: 1000)
    let owners = [context.newOwner(), context.newOwner()]
    #expect(owners[0] != owners[1])
    for index in 0..<100 {
      for owner in owners {
        context.keep(entries: [Int64](repeating: Int64(owner), count: 100), owner, Int64(index))
        #expect(context.keptEntries(owner, Int64(index))?.first == Int64(owner))
      }
    }
    let kept = (0..<100).flatMap { index in owners.map { context.keptEntries($0, Int64(index)) } }
    #expect(kept.compactMap { $0 }.count == 4)
    #expect(context.takeClaimBytes(100) == 100 && context.takeClaimBytes(1000) == 450)
    #expect(context.takeClaimBytes(1000) == 225)
    for index in 0..<300 { context.warn("\(index)", onceFor: "\(index % 200)") }
    #expect(context.warnings.count == Limits.warnings && context.warnings[1] == "1")
  }

  @Test("an extent of another kind or size than its line says is refused")
  func contradictions() throws {
    let image = builder.build()
    for (kind, sectors, code) in [
      (.vmfsSparse, 1157, .wrongMagic), (.seSparse, 1157, .wrongMagic), (.sparse, 1158, .capacityMismatch),
      (.flat, 1157, .unknownExtentType),
    ] as [(VMDKExtentLine.Kind, Int64, VMDKError.Code)] {
      let error = try #require(throws: VMDKError.self) {
        _ = try MemoryFile(image).open(kind, sectors: sectors)
      }
      #expect(error.code == code)
    }
  }
}
