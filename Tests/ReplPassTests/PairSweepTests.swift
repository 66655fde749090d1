import ReplIO
import ReplModel
import ReplSource
import ReplStandby
import ReplTestKit
import Testing

@testable import ReplPass

/// The whole of both sides over storage that loses, tears and reorders what was not synced: a first copy and
/// two passes, the power cut at every n-th durable operation of either side, and cut again during the
/// recovery.
@Suite(.serialized) struct PairSweepTests {
  enum Side: String, CaseIterable { case receiver, sender, both }

  /// Pages of the two disks; the first one ends in the middle of a page.
  private static let sizes = [(300 << 10) + 1536, 64 << 10]

  /// Three versions: rewritten pages, pages that become zero, pages that change and change back.
  private static let versions: [[[UInt8]]] = {
    var disks = sizes.map { [UInt8](repeating: 0, count: $0) }
    func fill(_ disk: Int, _ page: Int, _ seed: UInt64) {
      let end = min((page + 1) * 4096, disks[disk].count)
      let bytes =
        seed == 0 ? [UInt8](repeating: 0, count: 4096) : PageMaker.random(byteCount: 4096, seed: seed)
      disks[disk].replaceSubrange((page * 4096)..<end, with: bytes[0..<(end - page * 4096)])
    }
    for page in [0, 1, 5, 40, 75] { fill(0, page, UInt64(page + 1)) }
    for page in 0..<6 { fill(1, page, UInt64(page + 100)) }
    var versions = [disks]
    for page in [1, 40, 41, 75] { fill(0, page, UInt64(page + 200)) }
    fill(1, 2, 0)
    versions.append(disks)
    for page in [1, 5] { fill(0, page, UInt64(page + 1)) }
    fill(0, 40, 0)
    fill(1, 2, 300)
    versions.append(disks)
    return versions
  }()

  /// How often a scenario touches its medium when nothing fails.
  private func operations() throws -> (receiver: Int, sender: Int) {
    let pair = try Pair()
    defer { pair.end() }
    let before = (pair.receiver.operationCount, pair.sender.operationCount)
    for images in Self.versions { _ = try pair.pass(images) }
    return (pair.receiver.operationCount - before.0, pair.sender.operationCount - before.1)
  }

  @Test(
    "power is cut at every n-th operation over a first copy and two passes: no acknowledged point is lost",
    arguments: Side.allCases)
  func sweep(_ side: Side) throws {
    let total = try operations()
    let count = side == .sender ? total.sender : total.receiver
    #expect(count > 50, "the scenario must be worth sweeping")
    // Each side alone at every operation; both together at every other one.
    let step = side == .both ? 2 : 1
    for number in stride(from: 1, through: count, by: step) {
      try run(side, cutAt: number, survivors: .random(seed: UInt64(number)))
      if number % 3 == 0 { try run(side, cutAt: number, survivors: number % 2 == 0 ? .none : .all) }
    }
    print("\(side.rawValue): \(count) operations, every \(step)")
  }

  private func run(_ side: Side, cutAt number: Int, survivors: Survivors) throws {
    let context = "\(side.rawValue) cut at \(number), survivors \(survivors)"
    let pair = try Pair()
    defer { pair.end() }
    let cut = FaultPlan(
      .powerCut, atOperation: number + (side == .sender ? pair.sender : pair.receiver).operationCount)
    if side == .sender { pair.sender.plan(cut) } else { pair.receiver.plan(cut) }
    var acknowledged = -1
    var failedAt: Int?
    for (index, images) in Self.versions.enumerated() {
      do {
        _ = try pair.pass(images)
        acknowledged = index
      } catch {
        failedAt = index
        break
      }
    }
    // A cut after the last acknowledgement fails no pass; what it leaves is checked all the same.
    if side != .sender { try recoverReceiver(pair, survivors, number: number, context) }
    if side != .receiver { pair.restartSender(survivors) }
    let allowed = acknowledged...max(acknowledged, failedAt ?? acknowledged)
    try check(pair, allowed: allowed, context)
    for index in max(failedAt ?? acknowledged, 0)..<Self.versions.count {
      let report = try pair.pass(Self.versions[index])
      #expect(report.point.pass == report.pass.pass || report.point.reference.number > 0, "\(context)")
      try check(pair, allowed: index...index, "\(context), then version \(index)")
    }
  }

  /// Power comes back, and goes again in the middle of the recovery, twice.
  private func recoverReceiver(_ pair: Pair, _ survivors: Survivors, number: Int, _ context: String) throws {
    pair.restartReceiver(survivors)
    for again in 1...2 {
      let machine = pair.receiver
      machine.plan(FaultPlan(.powerCut, atOperation: machine.operationCount + (number * again) % 23 + 1))
      // The power may go before the store is even open.
      try? pair.startReceiver()
      pair.restartReceiver(.random(seed: UInt64(number * 31 + again)))
    }
    try pair.startReceiver()
  }

  /// P1: the disks hold exactly one of the allowed versions, and it is the one that the catalog names. P2:
  /// whatever a sender was told is there.
  private func check(_ pair: Pair, allowed: ClosedRange<Int>, _ context: String) throws {
    // The session that settles may still be at it.
    let settled = Deadline(seconds: 10)
    while true {
      guard let standby = try pair.standby(), let newest = standby.catalog.newest else {
        #expect(allowed.lowerBound == -1, "\(context): no standby although a point was acknowledged")
        return
      }
      let isRight = allowed.contains { $0 >= 0 && standby.images == Self.versions[$0] }
      let isDone = isRight && !standby.isSettling && Int(newest.reference.number) >= allowed.lowerBound + 1
      if isDone { return }
      guard !settled.hasPassed else {
        let found = Self.versions.firstIndex { $0 == standby.images }
        Issue.record(
          "\(context): version \(found.map(String.init) ?? "none"), \(allowed) allowed, \(newest.reference)"
        )
        return
      }
      _ = Monitor(false).wait(seconds: 0.005) { $0 ? true : nil }
    }
  }
}
