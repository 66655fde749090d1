import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// What an interrupted pass left in the journal, and a medium that fails while the next one goes on with it.
@Suite("Going on with a journal") struct ResumedJournalTests {
  private let first: Sender
  private let second: Sender

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
  }

  /// A point, and the journal of a pass that was killed before it synced its last batch.
  private func killed() throws -> SimulatedMachine {
    let machine = try Bench.machine()
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
    let pass = try Bench.standby(in: Bench.store(on: machine)).beginPass(second.offer(2))
    try second.send(to: pass, pagesPerBatch: 1, limit: 5)
    return machine.kill()
  }

  @Test("a sync that fails while a journal is taken up again is not tried again: no commit builds on it")
  func failedSync() throws {
    let whole = try killed()
    let syncs = Mutex<[Int]>([])
    whole.watch { moment in
      guard moment.kind == .sync, moment.path.hasSuffix(".journal") else { return }
      syncs.withLock { $0.append(moment.number) }
    }
    _ = try Bench.standby(in: Bench.store(on: whole)).beginPass(second.offer(3))
    let operation = try #require(syncs.withLock { $0 }.first)

    let machine = try killed()
    let store = try Bench.store(on: machine)
    machine.plan(FaultPlan(.ioErrorOnce, atOperation: operation))
    #expect(throws: StandbyError.self) { _ = try Bench.standby(in: store).beginPass(second.offer(3)) }
    let pass = try Bench.standby(in: store).beginPass(second.offer(4))
    _ = try pass.commit(second.claims(try second.send(to: pass)))
    let after = machine.restart(.none)
    let standby = try Bench.standby(in: Bench.store(on: after))
    #expect(try standby.recovery.get() == .settled(PointReference(epoch: Epoch(1), number: 2)))
    try Checks([first, second, second, second]).holdsItsNewestPoint(standby, on: after, "power cut")
  }
}
