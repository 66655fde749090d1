import Foundation
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// Whole passes under a limit of bandwidth, between a real sender and a real receiver.
@Suite("paced passes", .serialized) struct PacedPassTests {
  private static let lowest = BandwidthPlan(bytesPerSecond: 64 << 10)
  private let pair: Pair

  init() throws { pair = try Pair() }

  /// The error or the report of a pass that a thread runs.
  private typealias Outcome = Monitor<Result<SourcePass.Report, any Error>?>

  private struct Running {
    let outcome = Outcome(nil)
    let troubles = Monitor<[PassError]>([])
    let stop = StopSignal()
    let share = BandwidthShare(plan: PacedPassTests.lowest, time: SystemTime())
    let images = [
      PageMaker.random(byteCount: 3 << 20, seed: 5), PageMaker.random(byteCount: 1 << 20, seed: 6),
    ]
  }

  /// A pass whose first data waits for a quarter of an hour.
  private func begin(_ running: Running) throws {
    running.share.makePace(for: "vm").noteSent(grantedBytes: 0, wireBytes: 64 << 20)
    var settings = pair.settings(retryLimit: 3)
    settings.makePace = { [share = running.share] in share.makePace(for: "vm") }
    let sending = Monitor(false)
    let pass = SourcePass(
      view: pair.view(running.images.map { MemoryDisk($0) }), settings: settings,
      state: try SourceState(root: pair.sender.disk("state")), lastEpoch: nil, stop: running.stop,
      time: SystemTime()
    ) { now in
      if now.phase == "send" { sending.withLock { $0 = true } }
    } onTrouble: { error in
      running.troubles.withLock { $0.append(error) }
    }
    let outcome = running.outcome
    _ = NamedThread.start("paced-pass") {
      let result = Result { try pass.run() }
      outcome.withLock { $0 = result }
    }
    // Control frames are through, and the batch has nothing left to do but to wait.
    try #require(sending.wait(seconds: 10) { $0 ? true : nil } == true)
    #expect(outcome.wait(seconds: 0.3) { $0 == nil ? nil : true } == nil)
  }

  @Test("a connection that breaks wakes who waits for a turn, and the pass goes on with the next one")
  func broken() throws {
    defer { pair.end() }
    let running = Running()
    try begin(running)
    let began = SystemTime().monotonicNanoseconds()
    pair.cutConnections()
    #expect(running.troubles.wait(seconds: 10) { $0.isEmpty ? nil : true } == true)
    #expect(SystemTime().monotonicNanoseconds() - began < 3_000_000_000)
    running.share.use(.unlimited)
    let result = try #require(running.outcome.wait(seconds: 20) { $0 })
    #expect(try result.get().isSettled)
    #expect(try pair.standby()?.images == running.images)
  }

  @Test("a stop wakes who waits for a turn at once")
  func stopped() throws {
    defer { pair.end() }
    let running = Running()
    try begin(running)
    let began = SystemTime().monotonicNanoseconds()
    running.stop.set()
    let result = try #require(running.outcome.wait(seconds: 10) { $0 })
    #expect(SystemTime().monotonicNanoseconds() - began < 3_000_000_000)
    guard case .failure(let error) = result, case .stopping? = error as? PassError else {
      Issue.record("\(result)")
      return
    }
  }
}
