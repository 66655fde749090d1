import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Power cuts at every durable operation of passes whose retention drops points at the old end and in the
/// middle; afterwards every point that is listed can be had exactly.
@Suite("Power cuts while points are dropped") struct RetentionSweepTests {
  private struct Cut: Sendable {
    let moment: Moment
    let acknowledged: Int
  }

  /// Two days by the day, besides the newest two: some points are merged, some go at the old end.
  private static let policy = RetentionPolicy(last: 2, hourly: 0, daily: 2, weekly: 0, floorSeconds: 0)
  private static let secondsBetween: Double = 8 * 3600

  private static func bench() throws -> PointBench {
    var images = [Image.tenPages()]
    for number in 1..<9 {
      var next = images[number - 1].changing([number, (number * 3) % 10, 0], seed: UInt64(number * 1000))
      if number == 3 { next.grow(0, to: 40960 + 4096 * 3 + 512) }
      if number == 5 { next.clear(0, 2) }
      if number > 3 { next.fill(0, 11, UInt64(number * 77)) }
      images.append(next)
    }
    return try PointBench(images, policy: policy)
  }

  /// The moments of the passes from the fifth on: by then retention merges and removes.
  private static func cuts(_ bench: PointBench) throws -> [Cut] {
    let found = Mutex<[Cut]>([])
    let acknowledged = Mutex(0)
    let store = try bench.store()
    for number in 1...bench.senders.count {
      if number == 5 {
        bench.machine.watch { moment in
          found.withLock { $0.append(Cut(moment: moment, acknowledged: acknowledged.withLock { $0 })) }
        }
      }
      let standby = try Bench.standby(in: store)
      try bench.senders[number - 1].replicate(number, to: standby) { _ in
        acknowledged.withLock { $0 = number }
      }
      bench.time.advance(seconds: secondsBetween)
    }
    bench.machine.watch(nil)
    return found.withLock { $0 }
  }

  private static func check(
    _ bench: PointBench, _ machine: SimulatedMachine, _ cut: Cut, _ context: String
  ) throws {
    for result in try bench.store(on: machine).recoverAll() {
      if case .failure(let error) = result.outcome { Issue.record("\(context): \(error)") }
    }
    let catalog = try #require(try bench.store(on: machine).standbys().first?.catalog)
    let number = Int(catalog.newest?.pass.low ?? 0)
    #expect(number == cut.acknowledged || number == cut.acknowledged + 1, "\(context): holds pass \(number)")
    #expect(try bench.differing(on: machine).isEmpty, "\(context)")
    // Whatever retention was at, the next pass ends it.
    guard number < bench.senders.count else { return }
    let standby = try Bench.standby(in: bench.store(on: machine))
    try bench.senders[number].replicate(number + 1, to: standby)
    let names = try standby.home.points.entryNames().filter { $0.contains(".undo") }
    #expect(names.count == standby.catalog.points.count - 1, "\(context): \(names)")
  }

  @Test(
    "power is cut at any operation: every listed point is exact, and retention goes on",
    arguments: [Survivors.none, .all, .random(seed: 5)])
  func singleCut(survivors: Survivors) throws {
    let bench = try Self.bench()
    let cuts = try Self.cuts(bench)
    #expect(cuts.count > 200)
    #expect(cuts.contains { $0.moment.kind == .rename && $0.moment.path.hasSuffix(".undo.new") })
    #expect(cuts.contains { $0.moment.kind == .remove && $0.moment.path.hasSuffix(".undo") })
    for cut in cuts {
      try Self.check(bench, cut.moment.restart(survivors), cut, "\(cut.moment), survivors \(survivors)")
    }
  }

  @Test("a kill at any operation, and a power cut right after the recovery")
  func kill() throws {
    let bench = try Self.bench()
    for (index, cut) in try Self.cuts(bench).enumerated() where index % 3 == 0 {
      let machine = cut.moment.kill()
      _ = try bench.store(on: machine).recoverAll()
      try Self.check(bench, machine.restart(.none), cut, "killed before \(cut.moment), then a power cut")
    }
  }
}
