import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// One failing operation at every place of a pass, while the program lives on and tries again.
struct FaultSweep: Sendable {
  let senders: [Sender]

  /// Tries a pass until it went through; what failed is suspended as a lost connection would be. Answers how
  /// many attempts it took. `acknowledged` hears of every commit that returned.
  private func replicate(
    _ number: Int, on machine: SimulatedMachine, attempts limit: Int, acknowledged: () -> Void,
    failed: (any Error) throws -> Void
  ) throws -> Int {
    // One store for all attempts: what a failed sync taught the process is still known.
    var store: StandbyStore?
    for attempt in 1...limit {
      var pass: IncomingPass?
      do {
        if store == nil { store = try Bench.store(on: machine) }
        let standby = try Bench.standby(in: store!)
        if standby.catalog.newest?.pass == Bench.pass(number) {
          acknowledged()
          if case .failure(let error) = standby.recovery { throw error }
          return attempt
        }
        let opened = try standby.beginPass(senders[number - 1].offer(number))
        pass = opened
        let sent = try senders[number - 1].send(to: opened)
        _ = try opened.commit(senders[number - 1].claims(sent))
        acknowledged()
        try opened.settle()
        _ = try standby.applyRetention()
        return attempt
      } catch {
        // As a receiver does it: the end of a pass that failed may fail as well.
        try? pass?.suspend()
        pass = nil
        try failed(error)
      }
    }
    Issue.record("pass \(number) did not go through in \(limit) attempts")
    return limit
  }

  /// Whatever the medium lost: the newest acknowledged point, or the one in flight, is there and whole.
  private func checkAfterPowerCut(
    _ machine: SimulatedMachine, _ survivors: Survivors, acknowledged: Int, _ context: String
  ) throws {
    let after = machine.restart(survivors)
    let store = try Bench.store(on: after)
    for result in try store.recoverAll() {
      if case .failure(let error) = result.outcome { Issue.record("\(context), power cut: \(error)") }
    }
    guard let standby = try store.open(vm: Bench.vm) else {
      #expect(acknowledged == 0, "\(context), power cut: the standby is gone")
      return
    }
    let number = standby.catalog.newest.map { Int($0.pass.low) } ?? 0
    #expect(
      number == acknowledged || number == acknowledged + 1, "\(context), power cut: holds pass \(number)")
    try Checks(senders).holdsItsNewestPoint(standby, on: after, "\(context), power cut")
  }

  /// The machine before pass `number`.
  private func prepared(for number: Int) throws -> SimulatedMachine {
    let machine = try Bench.machine()
    for earlier in 1..<number {
      try senders[earlier - 1].replicate(earlier, to: try Bench.standby(in: Bench.store(on: machine)))
    }
    return machine.restart(.all)
  }

  func sweep(_ number: Int, _ fault: FaultPlan.Fault, attempts: Int) throws {
    let start = try prepared(for: number)
    var (operation, isUntouched) = (0, false)
    while !isUntouched {
      operation += 1
      let machine = start.kill()
      machine.plan(FaultPlan(fault, atOperation: operation))
      var acknowledged = number - 1
      let context = "pass \(number), \(fault) at operation \(operation)"
      let taken = try replicate(
        number, on: machine, attempts: attempts, acknowledged: { acknowledged = number },
        failed: { error in
          try checkAfterPowerCut(machine, .none, acknowledged: acknowledged, "\(context): \(error)")
          try checkAfterPowerCut(
            machine, .random(seed: UInt64(operation)), acknowledged: acknowledged, "\(context): \(error)")
          // Space comes back.
          if case .outOfSpace = fault { machine.plan(nil) }
        })
      isUntouched = taken == 1 && machine.operationCount < operation
      #expect(acknowledged == number, "\(context)")
      try checkAfterPowerCut(machine, .none, acknowledged: number, "\(context), at the end")
    }
    #expect(operation > 100)
  }
}

/// One failing operation at every place of a first copy and of a later pass.
@Suite("Failing operations") struct FaultSweepTests {
  static let faults = FaultSweep(senders: CrashSweepTests.senders)

  @Test("an operation that fails once ends at most one pass, and loses nothing", arguments: [1, 2])
  func ioError(number: Int) throws { try Self.faults.sweep(number, .ioErrorOnce, attempts: 3) }

  @Test(
    "a full disk ends the pass, and replication goes on by itself when there is space", arguments: [1, 2])
  func outOfSpace(number: Int) throws { try Self.faults.sweep(number, .outOfSpace, attempts: 3) }
}
