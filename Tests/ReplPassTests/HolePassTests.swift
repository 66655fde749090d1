import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass
@testable import ReplSource

/// Passes over a storage that calls data a hole, over real TLS and simulated storage.
@Suite struct HolePassTests {
  private static let leafBytes = 1 << 20

  /// A pass of one disk and of what its VM has besides, as of a sender without hints.
  private func pass(
    _ pair: Pair, _ disk: any BlockReadable
  ) throws -> (
    report: SourcePass.Report, outcome: ViewHints.Outcome, events: [FreezeEvent]
  ) {
    let events = Monitor<[FreezeEvent]>([])
    let root = pair.sender.disk("state")
    let shelf = try HintShelf(state: root)
    let freezer = try ViewFreezer(directory: try root.createDirectory("freezes"), hints: shelf)
    let view = pair.view(of: [disk, MemoryDisk(PageMaker.random(byteCount: 8192, seed: 1))])
    let hints = ViewHints(
      of: view, request: ViewRequest(vmxPath: "/nowhere/web01.vmx"), freezer: freezer, shelf: shelf,
      report: { event in events.withLock { $0.append(event) } })
    let report = try pair.pass(view, hints: hints)
    return (report, try #require(hints.outcomes.first), events.withLock { $0 })
  }

  private func disk(leaves: Int, data: [Int: UInt64]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: leaves * Self.leafBytes)
    for (page, seed) in data {
      bytes.replaceSubrange(
        (page * 4096)..<((page + 1) * 4096), with: PageMaker.random(byteCount: 4096, seed: seed))
    }
    return bytes
  }

  private func standby(_ pair: Pair) throws -> [UInt8]? { try pair.standby()?.images[0] }

  @Test("SEEK_HOLE is never trusted alone: data that became a hole is read, and then all of the disk")
  func dataBecameHole() throws {
    let pair = try Pair()
    defer { pair.end() }
    let before = disk(leaves: 24, data: [5: 1, 3000: 2])
    #expect(try pass(pair, TrickyDisk(before)).outcome.holeRefusal == nil)
    // Changed where it had something, and where it had nothing and no audit looks now: leaf 14.
    let now = disk(leaves: 24, data: [5: 1, 3000: 3, 14 * 256 + 9: 4])
    let hidden = Int64(10 * Self.leafBytes)..<Int64(20 * Self.leafBytes)
    let caught = try pass(pair, TrickyDisk(now, hiding: hidden))
    #expect(caught.outcome.holeOffset == Int64(3000 * 4096))
    #expect(try standby(pair) == now)
    #expect(
      caught.events.contains { $0.level == .error && $0.text.contains("hint trust") }, "\(caught.events)")
    // From now on holes of the disk are read, whatever the storage says.
    let later = disk(leaves: 24, data: [5: 1, 3000: 3, 14 * 256 + 9: 4, 19 * 256: 5])
    let after = try pass(pair, TrickyDisk(later, hiding: hidden))
    #expect(after.outcome.holeRefusal?.contains("hint trust") == true && after.outcome.holeOffset == nil)
    #expect(try after.report.pass.readBytes > 24 << 20 && standby(pair) == later)
    // Until somebody says so.
    let shelf = try HintShelf(state: pair.sender.disk("state"))
    #expect(try shelf.distrust(of: Pair.vm).count == 1 && shelf.trust(Pair.vm)?.count == 1)
    let trusted = try pass(pair, TrickyDisk(later, hiding: Int64(6 << 20)..<Int64(10 << 20)))
    #expect(trusted.outcome.holeRefusal == nil && trusted.report.pass.readBytes < 23 << 20)
  }

  @Test("a hole that has held something from the beginning is found within one turn of the audit")
  func holeFromTheBeginning() throws {
    let pair = try Pair()
    defer { pair.end() }
    // Three turns of eight leaves; leaf 14 is looked at in the third.
    let bytes = disk(leaves: 24, data: [5: 1, 14 * 256 + 9: 4])
    let hidden = Int64(10 * Self.leafBytes)..<Int64(20 * Self.leafBytes)
    var found: [Int64?] = []
    for _ in 0..<3 { found.append(try pass(pair, TrickyDisk(bytes, hiding: hidden)).outcome.holeOffset) }
    #expect(found == [nil, nil, Int64((14 * 256 + 9) * 4096)])
    #expect(try standby(pair) == bytes)
  }
}
