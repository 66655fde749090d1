import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// A first copy and later passes, some of which come to nothing first, with everything that a power cut or a
/// kill at any of their durable operations leaves.
///
/// The scenario runs once, untouched; from the moment before each operation the machine after a power cut is
/// made, with nothing, everything or a seeded part of the unsynced changes on the medium.
struct PowerCuts: Sendable {
  struct Cut: Sendable {
    let moment: Moment
    /// The newest pass whose commit had returned, 0 for none.
    let acknowledged: Int
  }

  let senders: [Sender]
  /// Every operation of the whole scenario.
  let cuts: [Cut]
  private let places: Places

  /// `interrupted`: what begins before each pass and comes to nothing; the last of it is cut off, the others
  /// are suspended in good order.
  init(_ senders: [Sender], interrupted: [[Sender]], on places: Places = .files) throws {
    self.senders = senders
    self.places = places
    let machine = try places.machine()
    let acknowledged = Mutex(0)
    let found = Mutex<[Cut]>([])
    machine.watch { moment in
      let count = acknowledged.withLock { $0 }
      found.withLock { $0.append(Cut(moment: moment, acknowledged: count)) }
    }
    let store = try places.store(on: machine)
    for (index, sender) in senders.enumerated() {
      // As in life: every pass opens the standby anew, and some passes come to nothing first. Those saw
      // another view, so that what they leave is not what the next one brings.
      for (step, other) in interrupted[index].enumerated() {
        let pass = try Bench.standby(in: store).beginPass(other.offer(50 + 10 * step + index))
        let isLast = step == interrupted[index].count - 1
        try other.send(to: pass, limit: isLast ? 2 : 3)
        if isLast { try pass.sync() } else { try pass.suspend() }
      }
      let standby = try Bench.standby(in: store)
      try sender.replicate(index + 1, to: standby) { _ in acknowledged.withLock { $0 = index + 1 } }
    }
    machine.watch(nil)
    cuts = found.withLock { $0 }
  }

  /// Recovers and checks P1 and P2; answers the number of the pass that the standby holds.
  func recover(_ machine: SimulatedMachine, _ cut: Cut, _ context: String) throws -> Int {
    let store = try places.store(on: machine)
    for result in try store.recoverAll() {
      if case .failure(let error) = result.outcome { Issue.record("\(context): \(error)") }
    }
    guard let standby = try store.open(vm: Bench.vm) else {
      #expect(cut.acknowledged == 0, "\(context): the standby is gone")
      return 0
    }
    let number = try held(by: standby, cut, context)
    try Checks(senders).holdsItsNewestPoint(standby, on: machine, context)
    try places.check(machine, context)
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

  func finish(_ machine: SimulatedMachine, after number: Int, _ context: String) throws {
    let store = try places.store(on: machine)
    let standby = try Bench.standby(in: store)
    for next in number..<senders.count { try senders[next].replicate(next + 1, to: standby) }
    try Checks(senders).holdsItsNewestPoint(
      standby, on: machine, "\(context), after the remaining passes")
    #expect(standby.catalog.newest?.pass == Bench.pass(senders.count))
  }

  /// A power cut at every operation, or at every n-th, then the remaining passes.
  func cutOnce(_ survivors: Survivors, every step: Int = 1) throws {
    for cut in cuts where cut.moment.number % step == 0 {
      let context = "\(cut.moment), survivors \(survivors)"
      let machine = cut.moment.restart(survivors)
      let number = try recover(machine, cut, context)
      try finish(machine, after: number, context)
    }
  }

  /// A second one during the recovery; answers how many there were.
  func cutDuringRecovery(seed: UInt64) throws -> Int {
    var nested = 0
    for (index, cut) in cuts.enumerated() where index % 3 == Int(seed) % 3 {
      let survivors = Survivors.random(seed: seed &* 1000 &+ UInt64(index))
      let machine = cut.moment.restart(survivors)
      for (step, moment) in try recoveryMoments(machine).enumerated() where step % 4 == index % 4 {
        let again = Survivors.random(seed: seed &+ UInt64(step * 7919 + index))
        let context = "\(cut.moment), survivors \(survivors); then \(moment), survivors \(again)"
        _ = try recover(moment.restart(again), cut, context)
        nested += 1
      }
    }
    return nested
  }

  /// A kill, a recovery, a power cut that loses all that was not synced.
  func killThenCut() throws {
    for cut in cuts {
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
          next.restart(.none), Cut(moment: cut.moment, acknowledged: senders.count), "\(context), at the end")
      }
    }
  }

  /// A kill, then a power cut during the recovery; answers how many there were.
  func killThenCutDuringRecovery() throws -> Int {
    var nested = 0
    for (index, cut) in cuts.enumerated() where index % 2 == 0 {
      let machine = cut.moment.kill()
      for (step, moment) in try recoveryMoments(machine).enumerated() where step % 5 == index / 2 % 5 {
        let survivors = index % 4 == 0 ? Survivors.none : .random(seed: UInt64(index * 1000 + step))
        let context = "killed before \(cut.moment); then \(moment), survivors \(survivors)"
        _ = try recover(moment.restart(survivors), cut, context)
        nested += 1
      }
    }
    return nested
  }

  private func recoveryMoments(_ machine: SimulatedMachine) throws -> [Moment] {
    let moments = Mutex<[Moment]>([])
    machine.watch { moment in moments.withLock { $0.append(moment) } }
    _ = try places.store(on: machine).recoverAll()
    machine.watch(nil)
    return moments.withLock { $0 }
  }
}
