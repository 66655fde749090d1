import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// A failover that comes while a pass runs (FAULTS.md 72, 73): at every operation of the receiver on its
/// storage.
@Suite(.serialized) struct PromoteRaceTests {
  private static let versions: [[[UInt8]]] = (0..<3).map { version in
    [96 << 10, 64 << 10].enumerated().map { disk, size in
      PageMaker.random(byteCount: size, seed: UInt64(version * 10 + disk + 1))
    }
  }

  /// A failover in another program on the receiver's machine, up to the fence.
  private struct Promotion: Sendable {
    let outcome = Monitor<Result<PointReference?, StandbyError>?>(nil)
    let isRequested = Monitor(false)

    func run(_ pair: Pair) {
      do throws(StandbyError) {
        let store = try makeStore(pair)
        let request = try store.requestFailover(vm: Pair.vm)
        isRequested.withLock { $0 = true }
        defer { withExtendedLifetime(request) {} }
        guard let standby = try store.open(vm: Pair.vm, waitSeconds: 20) else {
          return outcome.withLock { $0 = .success(nil) }
        }
        try standby.fence(reason: "test")
        outcome.withLock { $0 = .success(standby.catalog.fence?.point) }
      } catch {
        isRequested.withLock { $0 = true }
        outcome.withLock { $0 = .failure(error) }
      }
    }

    private func makeStore(_ pair: Pair) throws(StandbyError) -> StandbyStore {
      do { return try pair.store() } catch let error as StandbyError { throw error } catch {
        throw .badOffer(detail: "\(error)")
      }
    }
  }

  private func operations() throws -> Int {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(Self.versions[0])
    let before = pair.receiver.operationCount
    _ = try pair.pass(Self.versions[1])
    return pair.receiver.operationCount - before
  }

  @Test("a failover at any step of a pass ends with one complete point, fenced, and nothing written after it")
  func everyStep() throws {
    let total = try operations()
    #expect(total > 25)
    let next = Monitor(1)
    let points = Mutex<[UInt64: Int]>([:])
    // A pass that waits for its sender looks for a failover once a second: several at a time.
    let threads = (0..<4).map { _ in
      NamedThread.start("promote-race") {
        while true {
          let step = next.withLock { next in
            defer { next += 1 }
            return next
          }
          guard step <= total else { return }
          do {
            let number = try race(at: step)
            points.withLock { $0[number, default: 0] += 1 }
          } catch { Issue.record("step \(step): \(error)") }
        }
      }
    }
    for thread in threads { thread.join() }
    let counts = points.withLock { $0 }
    print("\(total) steps: \(counts[1] ?? 0) ended at the old point, \(counts[2] ?? 0) at the new one")
    #expect((counts[1] ?? 0) > 0 && (counts[2] ?? 0) > 0 && counts.count == 2)
  }

  /// The number of the point that was promoted.
  private func race(at step: Int) throws -> UInt64 {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(Self.versions[0])
    let promotion = Promotion()
    let left = Mutex(step)
    pair.receiver.watch { _ in
      let isNow = left.withLock { left in
        left -= 1
        return left == 0
      }
      guard isNow else { return }
      _ = NamedThread.start("promotion") { promotion.run(pair) }
      // The pass goes on at just this step only when the failover has asked.
      #expect(promotion.isRequested.wait(seconds: 10) { $0 ? true : nil } == true)
    }
    let outcome = Result { try pair.pass(Self.versions[1]) }
    let fenced = try #require(promotion.outcome.wait(seconds: 30) { $0 }, "step \(step): no end")
    pair.receiver.watch(nil)
    let point = try #require(try fenced.get(), "step \(step)")
    // P2: what the sender was told is there.
    if case .success(let report) = outcome { #expect(report.point.reference == point, "step \(step)") }
    try checkFenced(pair, at: point, "step \(step)")
    // P3: whatever comes then, over restarts of the receiver: refused by name, and not a byte is written.
    for survivors in [Survivors.none, .all] {
      let error = #expect(throws: PassError.self) { try pair.pass(Self.versions[2]) }
      guard case .wire(.peer(let number, let text, _)) = error else {
        Issue.record("step \(step): \(String(describing: error))")
        continue
      }
      #expect(number == ErrorNumber.fenced.rawValue && error?.remedy == .stopVM, "step \(step): \(text)")
      try checkFenced(pair, at: point, "step \(step), after \(survivors)")
      pair.restartReceiver(survivors)
      try pair.startReceiver()
      try checkFenced(pair, at: point, "step \(step), after \(survivors)")
    }
    return point.number
  }

  private func checkFenced(_ pair: Pair, at point: PointReference, _ context: String) throws {
    let standby = try #require(try pair.standby(), "\(context)")
    #expect(standby.catalog.fence?.point == point && standby.catalog.epoch == Epoch(2), "\(context)")
    #expect(standby.catalog.newest?.reference == point && !standby.isSettling, "\(context)")
    #expect(standby.images == Self.versions[Int(point.number) - 1], "\(context)")
  }
}
