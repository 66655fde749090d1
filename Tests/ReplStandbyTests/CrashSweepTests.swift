import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Power cuts at every durable operation of a first copy and two passes.
///
/// The scenario runs once, untouched; from the moment before each operation the machine after a power cut is
/// made, with nothing, everything or a seeded part of the unsynced changes on the medium.
@Suite("Power cuts") struct CrashSweepTests {
  struct Cut: Sendable {
    let moment: Moment
    /// The newest pass whose commit had returned, 0 for none.
    let acknowledged: Int
  }

  static let senders: [Sender] = {
    do {
      return try [Bench.firstImage(), Bench.secondImage(), Bench.thirdImage()].map { try Sender($0) }
    } catch { fatalError("\(error)") }
  }()

  /// A view of which nothing is ever committed: other pages, and zeros where the others have data.
  static let variant: Sender = {
    do {
      var image = Bench.thirdImage()
      for page in [0, 2, 60, 103] { image.fill(0, page, UInt64(page + 7000)) }
      for page in [1, 8, 200, 256] { image.clear(0, page) }
      return try Sender(image)
    } catch { fatalError("\(error)") }
  }()

  private static func begin(
    _ store: StandbyStore, _ sender: Sender, _ number: Int, batches: Int
  ) throws -> IncomingPass {
    let pass = try Bench.standby(in: store).beginPass(sender.offer(number))
    try sender.send(to: pass, limit: batches)
    return pass
  }

  /// Every operation of the whole scenario.
  static let cuts: [Cut] = {
    do {
      let machine = try Bench.machine()
      let acknowledged = Mutex(0)
      let found = Mutex<[Cut]>([])
      machine.watch { moment in
        let count = acknowledged.withLock { $0 }
        found.withLock { $0.append(Cut(moment: moment, acknowledged: count)) }
      }
      let store = try Bench.store(on: machine)
      for (index, sender) in senders.enumerated() {
        // As in life: every pass opens the standby anew, and some passes come to nothing first. Those saw
        // another view, so that what they leave is not what the next one brings.
        if index != 1 {
          try begin(store, variant, 50 + index, batches: 3).suspend()
          try begin(store, senders[1 - index / 2], 60 + index, batches: 2).sync()
        }
        let standby = try Bench.standby(in: store)
        try sender.replicate(index + 1, to: standby) { _ in acknowledged.withLock { $0 = index + 1 } }
      }
      machine.watch(nil)
      return found.withLock { $0 }
    } catch { fatalError("\(error)") }
  }()

  /// Recovers and checks P1 and P2; answers the number of the pass that the standby holds.
  private func recover(_ machine: SimulatedMachine, _ cut: Cut, _ context: String) throws -> Int {
    let store = try Bench.store(on: machine)
    for result in try store.recoverAll() {
      if case .failure(let error) = result.outcome { Issue.record("\(context): \(error)") }
    }
    guard let standby = try store.open(vm: Bench.vm) else {
      #expect(cut.acknowledged == 0, "\(context): the standby is gone")
      return 0
    }
    let number = try held(by: standby, cut, context)
    try Checks(Self.senders).holdsItsNewestPoint(standby, on: machine, context)
    return number
  }

  private func held(by standby: Standby, _ cut: Cut, _ context: String) throws -> Int {
    let number = standby.catalog.newest.map { Int($0.pass.low) } ?? 0
    #expect(
      number == cut.acknowledged || number == cut.acknowledged + 1,
      "\(context): holds pass \(number), acknowledged was \(cut.acknowledged)")
    #expect(standby.catalog.newest?.reference.number ?? 0 == UInt64(number), "\(context)")
    return number
  }

  private func finish(_ machine: SimulatedMachine, after number: Int, _ context: String) throws {
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    for next in number..<Self.senders.count { try Self.senders[next].replicate(next + 1, to: standby) }
    try Checks(Self.senders).holdsItsNewestPoint(
      standby, on: machine, "\(context), after the remaining passes")
    #expect(standby.catalog.newest?.pass == Bench.pass(Self.senders.count))
  }

  @Test(
    "a power cut at any operation leaves one committed point, and the remaining passes go through",
    arguments: [Survivors.none, .all, .random(seed: 1), .random(seed: 2)])
  func singleCut(survivors: Survivors) throws {
    #expect(Self.cuts.count > 300)
    for cut in Self.cuts {
      let context = "\(cut.moment), survivors \(survivors)"
      let machine = cut.moment.restart(survivors)
      let number = try recover(machine, cut, context)
      try finish(machine, after: number, context)
    }
  }

  @Test("a second power cut at any operation of the recovery changes nothing", arguments: [1, 2] as [UInt64])
  func cutDuringRecovery(seed: UInt64) throws {
    var nested = 0
    for (index, cut) in Self.cuts.enumerated() where index % 3 == Int(seed) % 3 {
      let survivors = Survivors.random(seed: seed &* 1000 &+ UInt64(index))
      let machine = cut.moment.restart(survivors)
      for (step, moment) in try Self.recoveryMoments(machine).enumerated() where step % 4 == index % 4 {
        let again = Survivors.random(seed: seed &+ UInt64(step * 7919 + index))
        let context = "\(cut.moment), survivors \(survivors); then \(moment), survivors \(again)"
        _ = try recover(moment.restart(again), cut, context)
        nested += 1
      }
    }
    #expect(nested > 100)
  }

  @Test(
    "a kill at any operation, recovery, then a power cut without mercy: still one committed point"
  )
  func killThenPowerCut() throws {
    for cut in Self.cuts {
      let context = "killed before \(cut.moment)"
      let machine = cut.moment.kill()
      let number = try recover(machine, cut, context)
      let after = machine.restart(.none)
      let kept = Cut(moment: cut.moment, acknowledged: number)
      let again = try recover(after, kept, "\(context), then a power cut")
      #expect(again == number, "\(context): what recovery had settled is gone after a power cut")
      if cut.moment.number % 3 == 0 {
        let next = cut.moment.kill()
        try finish(next, after: number, context)
        _ = try recover(
          next.restart(.none), Cut(moment: cut.moment, acknowledged: 3), "\(context), at the end")
      }
    }
  }

  @Test("a kill at any operation and a power cut at any operation of the recovery: still one committed point")
  func killThenCutDuringRecovery() throws {
    var nested = 0
    for (index, cut) in Self.cuts.enumerated() where index % 2 == 0 {
      let machine = cut.moment.kill()
      for (step, moment) in try Self.recoveryMoments(machine).enumerated() where step % 5 == index / 2 % 5 {
        let survivors = index % 4 == 0 ? Survivors.none : .random(seed: UInt64(index * 1000 + step))
        let context = "killed before \(cut.moment); then \(moment), survivors \(survivors)"
        _ = try recover(moment.restart(survivors), cut, context)
        nested += 1
      }
    }
    #expect(nested > 100)
  }

  private static func recoveryMoments(_ machine: SimulatedMachine) throws -> [Moment] {
    let moments = Mutex<[Moment]>([])
    machine.watch { moment in moments.withLock { $0.append(moment) } }
    _ = try Bench.store(on: machine).recoverAll()
    machine.watch(nil)
    return moments.withLock { $0 }
  }
}
