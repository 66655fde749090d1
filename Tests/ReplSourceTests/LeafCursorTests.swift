import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplSource

/// A disk that only says where it is allocated.
private final class MostlyHole: BlockReadable {
  let sizeBytes: Int64
  let allocated: [ByteRange]

  init(sizeBytes: Int64, allocated: [ByteRange]) {
    self.sizeBytes = sizeBytes
    self.allocated = allocated
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    buffer.initializeMemory(as: UInt8.self, repeating: 7)
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    allocated.first { $0.end > offset }
  }
}

@Suite struct LeafCursorTests {
  private static let leafBytes = Int64(PageGrid.pagesPerLeaf * 4096)
  private static let key = KeyID(high: 1, low: 1)

  private func scanDisk(
    _ image: MostlyHole, number: UInt64, contentInMap leaves: [Int64] = [], audited: UInt64
  ) throws -> ScanDisk {
    let grid = try #require(PageGrid(sizeBytes: image.sizeBytes, pageSizeBytes: 4096))
    let format = DigestMapFormat(disk: DiskID(high: number, low: 1), grid: grid, keyID: Self.key)
    let directory = SimulatedMachine(disks: ["maps"]).disk("maps")
    let base = try DigestMap.create("base", in: directory, format: format)
    let digests = [PageDigest](repeating: PageDigest(low: 2, high: 1), count: PageGrid.pagesPerLeaf)
    for leaf in leaves { try digests.withUnsafeBufferPointer { try base.writeLeaf(leaf, $0) } }
    _ = try base.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: PassID(high: 0, low: 1))
    let delta = try DigestDelta.create("delta", in: directory, over: base)
    let holes = HoleAudit(grid: grid, turn: audited, leavesPerPass: 1)
    return ScanDisk(image: image, grid: grid, base: base, held: base, delta: delta, holes: holes)
  }

  private func leaves(_ cursor: LeafCursor) throws -> [[Int64]] {
    var found: [[Int64]] = []
    while let leaf = try cursor.next() { found.append([Int64(leaf.diskIndex), leaf.index, leaf.number]) }
    return found
  }

  @Test("leaves where neither the disk nor a map has anything are passed over, but for one that is audited")
  func skipsHoles() throws {
    let first = MostlyHole(
      sizeBytes: 100 * Self.leafBytes,
      allocated: [
        ByteRange(offset: 3 * Self.leafBytes - 1, length: 2),
        ByteRange(offset: 50 * Self.leafBytes, length: 2 * Self.leafBytes),
      ])
    let second = MostlyHole(sizeBytes: 11 * Self.leafBytes, allocated: [])
    let third = MostlyHole(sizeBytes: 4096, allocated: [ByteRange(offset: 0, length: 512)])
    let disks = [
      try scanDisk(first, number: 1, contentInMap: [7], audited: 80),
      try scanDisk(second, number: 2, contentInMap: [10], audited: 10),
      try scanDisk(third, number: 3, audited: 0),
    ]
    let tracker = ResumeTracker(leafCount: PageScan.leafCount(of: disks.map(\.grid)))
    let cursor = LeafCursor(disks: disks, tracker: tracker)
    let expected: [[Int64]] = [
      [0, 2, 2], [0, 3, 3], [0, 7, 7], [0, 50, 50], [0, 51, 51], [0, 80, 80], [1, 10, 110], [2, 0, 111],
    ]
    #expect(try leaves(cursor) == expected)
    #expect(tracker.scannedLeaves == tracker.leafCount)
  }

  @Test("the walk over a disk of 60 TiB is as long as what it holds")
  func hugeDisk() throws {
    let size: Int64 = 60 << 40
    let pieces = (0..<100).map { ByteRange(offset: Int64($0) * 600_000 * Self.leafBytes, length: 4096) }
    let disk = try scanDisk(MostlyHole(sizeBytes: size, allocated: pieces), number: 1, audited: 0)
    let tracker = ResumeTracker(leafCount: disk.grid.leafCount)
    let found = try leaves(LeafCursor(disks: [disk], tracker: tracker))
    #expect(found.map { $0[1] } == pieces.map { $0.offset / Self.leafBytes })
    #expect(tracker.scannedLeaves == disk.grid.leafCount)
  }

  @Test("a cut scan goes on at the first leaf that was not dealt with, and passes over nothing that is held")
  func rewinds() throws {
    let disk = try scanDisk(
      MostlyHole(
        sizeBytes: 20 * Self.leafBytes,
        allocated: [ByteRange(offset: 5 * Self.leafBytes, length: 3 * Self.leafBytes)]), number: 1, audited: 5
    )
    let tracker = ResumeTracker(leafCount: disk.grid.leafCount)
    let cursor = LeafCursor(disks: [disk], tracker: tracker)
    let first = try #require(try cursor.next())
    let second = try #require(try cursor.next())
    tracker.release(first.token)
    _ = try cursor.next()
    tracker.rewind()
    let again = LeafCursor(disks: [disk], tracker: tracker)
    #expect(second.index == 6)
    #expect(try leaves(again).map { $0[1] } == [6, 7])
  }

  @Test("pages that only the map has are looked at: the disk lost them")
  func mapOnly() throws {
    let disk = try scanDisk(
      MostlyHole(sizeBytes: 4 * Self.leafBytes, allocated: []), number: 1, contentInMap: [1, 3], audited: 3)
    let tracker = ResumeTracker(leafCount: disk.grid.leafCount)
    #expect(try leaves(LeafCursor(disks: [disk], tracker: tracker)).map { $0[1] } == [1, 3])
  }
}
