import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplSource

@Suite("Scans with a change hint") struct HintScanTests {
  private static let leafBytes = Int64(PageGrid.pagesPerLeaf * 4096)
  private static let key = KeyID(high: 1, low: 1)
  private static let now = WallTime(millisecondsSince1970: 1_000_000)

  private struct Scene {
    let disk: ScanDisk
    let hint: ChangeHint
  }

  /// Everything is in use on the disk and in the map. The audit reads leaf 2 (and those `leaves` further).
  private func scene(
    leaves: Int64 = 8, changed: [ByteRange], heldLeaves: [Int64] = [], ranges: [ByteRange]? = nil,
    auditedHoles: UInt64 = 0
  ) throws -> Scene {
    let size = leaves * Self.leafBytes
    let grid = try #require(PageGrid(sizeBytes: size, pageSizeBytes: 4096))
    let directory = SimulatedMachine(disks: ["maps"]).disk("maps")
    let format = DigestMapFormat(disk: DiskID(high: 1, low: 1), grid: grid, keyID: Self.key)
    let base = try DigestMap.create("base", in: directory, format: format)
    let digests = [PageDigest](repeating: PageDigest(low: 2, high: 1), count: PageGrid.pagesPerLeaf)
    if leaves < 100 {
      for leaf in 0..<leaves { try digests.withUnsafeBufferPointer { try base.writeLeaf(leaf, $0) } }
    }
    _ = try base.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: PassID(high: 0, low: 1))
    var held: any DigestView = base
    if !heldLeaves.isEmpty {
      let overlay = try DigestDelta.create("held", in: directory, over: base)
      for leaf in heldLeaves { try digests.withUnsafeBufferPointer { try overlay.writeLeaf(leaf, $0) } }
      held = overlay
    }
    let turn = HintAudit.Turn(nextSlice: 2, at: Self.now)
    let hint = ChangeHint(
      grid: grid, changed: HintedRanges(changed),
      audit: HintAudit(leafCount: grid.leafCount, turn: turn, now: Self.now, days: 7))
    let image = HoledDisk(sizeBytes: size, ranges: ranges ?? [ByteRange(offset: 0, length: size)])
    let delta = try DigestDelta.create("delta", in: directory, over: base)
    return Scene(
      disk: ScanDisk(
        image: image, grid: grid, base: base, held: held, delta: delta, hint: hint,
        holes: HoleAudit(grid: grid, turn: auditedHoles, leavesPerPass: 1)), hint: hint)
  }

  private func leaves(_ disk: ScanDisk) throws -> [Int64] {
    let tracker = ResumeTracker(leafCount: disk.grid.leafCount)
    let cursor = LeafCursor(disks: [disk], tracker: tracker)
    var found: [Int64] = []
    while let leaf = try cursor.next() { found.append(leaf.index) }
    #expect(tracker.scannedLeaves == disk.grid.leafCount)
    return found
  }

  @Test("read are the leaves that a range touches by one byte, those of the audit, and no others")
  func leavesToRead() throws {
    let touched = [
      ByteRange(offset: 5 * Self.leafBytes - 1, length: 2), ByteRange(offset: 7 * Self.leafBytes, length: 1),
    ]
    #expect(try leaves(scene(changed: touched).disk) == [2, 4, 5, 7])
    #expect(try leaves(scene(changed: []).disk) == [2])
    #expect(try leaves(scene(changed: []).disk.withoutHint) == Array(0..<8))
  }

  @Test("where the receiver holds something else than the base, the hint leaves nothing out")
  func heldLeaves() throws {
    let scene = try scene(changed: [], heldLeaves: [0, 6])
    #expect(try leaves(scene.disk) == [0, 2, 6])
    #expect(scene.hint.contradiction == nil)
  }

  @Test("holes are left out although a hint calls them changed, but for those that are audited as holes")
  func holes() throws {
    let scene = try scene(
      leaves: 200_000, changed: [ByteRange(offset: 0, length: 150_000 * Self.leafBytes)],
      ranges: [
        ByteRange(offset: 7 * Self.leafBytes, length: 4096),
        // Not called changed, and audited: 2 + 10 * 16384.
        ByteRange(offset: 163_842 * Self.leafBytes, length: 4096),
        ByteRange(offset: 170_000 * Self.leafBytes, length: 4096),
      ], auditedHoles: 190_000)
    #expect(try leaves(scene.disk) == [7, 163_842, 190_000])
    scene.disk.holes.distrust()
    #expect(try leaves(scene.disk).count == 150_000 + 4)
  }

  @Test("a page that differs speaks against the hint unless a range touches it")
  func judge() throws {
    let page = ByteRange(offset: Self.leafBytes + 4096 * 3 + 4095, length: 1)
    let base = [PageDigest](repeating: .zero, count: PageGrid.pagesPerLeaf)
    var read = base
    read[3] = PageDigest(low: 1, high: 1)
    let fair = try scene(changed: [page]).hint
    fair.judge(1, read: read, base: base)
    #expect(fair.contradiction == nil && fair.auditedBytes == 0)
    fair.judge(2, read: base, base: base)
    #expect(fair.contradiction == nil && fair.auditedBytes == Self.leafBytes)
    fair.judge(2, read: read, base: base)
    #expect(fair.contradiction == .init(offset: 2 * Self.leafBytes + 3 * 4096))
    let beside = try scene(changed: [page]).hint
    read[4] = PageDigest(low: 1, high: 1)
    beside.judge(1, read: read, base: base)
    #expect(beside.contradiction == .init(offset: Self.leafBytes + 4 * 4096))
  }
}
