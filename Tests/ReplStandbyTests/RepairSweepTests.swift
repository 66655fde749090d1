import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Power cuts at every durable operation of a repair, of the pass that brings what is wanted, and of
/// beginning a copy anew.
@Suite("Power cuts while a standby is repaired") struct RepairSweepTests {
  private let senders: [Sender]
  private let checks: Checks

  init() throws {
    let (first, second) = (try Sender(Bench.firstImage()), try Sender(Bench.secondImage()))
    let third = try Sender(Bench.thirdImage())
    // The fourth pass is the same as the third: what it sends is only what is wanted.
    senders = [first, second, third, third, third]
    checks = Checks(senders)
  }

  /// Two points, and pages of both disks that are not what replication wrote.
  private func damaged() throws -> SimulatedMachine {
    let machine = try Bench.machine()
    try senders[0].replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
    try senders[1].replicate(2, to: try Bench.standby(in: Bench.store(on: machine)))
    try Damage.flip(machine, disk: 0, pages: [0, 60, 102, 256])
    try Damage.flip(machine, disk: 1, pages: [5])
    return machine
  }

  private func moments(_ machine: SimulatedMachine, _ body: () throws -> Void) throws -> [Moment] {
    let found = Mutex<[Moment]>([])
    machine.watch { moment in found.withLock { $0.append(moment) } }
    try body()
    machine.watch(nil)
    return found.withLock { $0 }
  }

  @Test(
    "a power cut at any operation of a repair and its pass: done again, everything is right",
    arguments: [Survivors.none, .all, .random(seed: 5)])
  func repair(survivors: Survivors) throws {
    let machine = try damaged()
    let cuts = try moments(machine) {
      _ = try Damage.verify(machine, repairs: true)
      try senders[2].replicate(3, to: try Bench.standby(in: Bench.store(on: machine)))
    }
    #expect(cuts.count > 40)
    for cut in cuts {
      let context = "\(cut), survivors \(survivors)"
      let after = cut.restart(survivors)
      for result in try Bench.store(on: after).recoverAll() {
        if case .failure(let error) = result.outcome { Issue.record("\(context): \(error)") }
      }
      // Whatever was reached, the operator and the sender do all of it again.
      _ = try Damage.verify(after, repairs: true)
      try senders[3].replicate(4, to: try Bench.standby(in: Bench.store(on: after)))
      let standby = try Bench.standby(in: Bench.store(on: after))
      try expectRight(standby, after, context)
    }
  }

  @Test("a kill at any operation of a repair and its pass, and the pass alone goes on: nothing stays wrong")
  func kill() throws {
    let repaired = try damaged()
    _ = try Damage.verify(repaired, repairs: true)
    let kills = try moments(repaired) {
      try senders[2].replicate(3, to: try Bench.standby(in: Bench.store(on: repaired)))
    }
    for cut in kills {
      let after = cut.kill()
      let standby = try Bench.standby(in: Bench.store(on: after))
      #expect(throws: Never.self, "\(cut)") { try standby.recovery.get() }
      try senders[3].replicate(4, to: standby)
      try expectRight(standby, after, "killed before \(cut)")
    }
  }

  private func expectRight(_ standby: Standby, _ machine: SimulatedMachine, _ context: String) throws {
    #expect(standby.catalog.suspicion == nil && standby.catalog.divergence == nil, "\(context)")
    #expect(try standby.wantedList().isEmpty, "\(context)")
    let point = try #require(standby.catalog.newest)
    let sender = try #require(checks.senders[point.pass])
    for index in 0...1 {
      #expect(
        try isSame(Damage.bytes(standby, index), sender.image.disks[index]), "\(context): disk \(index)")
      #expect(try standby.verifyDisk(Bench.diskIDs[index]).isClean, "\(context): disk \(index)")
    }
    // Pages 60 and 0 are the same in all images; what the third pass changed is lost for the points before.
    for kept in standby.catalog.kept.dropLast() {
      let pages = kept.damage.filter { $0.waitsForRepair == true }
      #expect(pages.isEmpty, "\(context): \(kept.reference) waits for \(pages)")
    }
  }

  @Test(
    "a power cut at any operation of beginning anew leaves the points or none, and the next pass is right",
    arguments: [Survivors.none, .all, .random(seed: 6)])
  func reseed(survivors: Survivors) throws {
    let machine = try damaged()
    let cuts = try moments(machine) {
      try Bench.standby(in: Bench.store(on: machine)).reseed()
      try senders[2].replicate(3, to: try Bench.standby(in: Bench.store(on: machine)))
    }
    #expect(cuts.count > 40)
    for cut in cuts {
      let context = "\(cut), survivors \(survivors)"
      let after = cut.restart(survivors)
      let standby = try Bench.standby(in: Bench.store(on: after))
      #expect(throws: Never.self, "\(context)") { try standby.recovery.get() }
      if standby.catalog.newest == nil {
        #expect(try !standby.home.directory.contains("web-01.vmx"), "\(context): a VMX without a point")
        #expect(try standby.home.points.entryNames().isEmpty, "\(context)")
      }
      // Done again wherever it was cut off, as the operator does.
      try standby.reseed()
      try senders[3].replicate(4, to: standby)
      try expectRight(standby, after, context)
      let number = try #require(standby.catalog.newest).reference.number
      #expect(number >= 3, "\(context): numbers of points that have ended are not used again")
    }
  }

  @Test(
    "a point that is committed and not settled ends too when the copy is begun anew, and its number with it")
  func reseedPending() throws {
    let machine = try damaged()
    let pass = try Bench.standby(in: Bench.store(on: machine)).beginPass(senders[2].offer(3))
    _ = try pass.commit(senders[2].claims(try senders[2].send(to: pass)))
    let after = machine.restart(.none)
    let standby = try Bench.standby(in: Bench.store(on: after))
    // Page 102 is overwritten by the third image and is not what it was.
    #expect(standby.catalog.divergence != nil)
    try standby.reseed()
    #expect(standby.catalog.kept.isEmpty && standby.catalog.divergence == nil)
    #expect(try standby.journalNames().isEmpty)
    try senders[3].replicate(4, to: standby)
    #expect(standby.catalog.newest?.reference == PointReference(epoch: Epoch(1), number: 4))
    try expectRight(standby, after, "after a pending point")
  }
}

/// A sync of a standby disk that fails while a point is settled.
@Suite("A failed sync while settling") struct FailedSyncTests {
  @Test("the sync of each disk fails once: settling is done again, read back, and only then named")
  func failedSync() throws {
    let (first, second) = (try Sender(Bench.firstImage()), try Sender(Bench.secondImage()))
    /// A machine with a committed pass that is not settled.
    func committed() throws -> (SimulatedMachine, IncomingPass) {
      let machine = try Bench.machine()
      try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
      let pass = try Bench.standby(in: Bench.store(on: machine)).beginPass(second.offer(2))
      _ = try pass.commit(second.claims(try second.send(to: pass)))
      return (machine, pass)
    }
    let found = Mutex<[Int]>([])
    let (whole, pass) = try committed()
    let base = whole.operationCount
    whole.watch { moment in
      guard moment.kind == .sync, moment.path.hasSuffix("-flat.vmdk") else { return }
      found.withLock { $0.append(moment.number - base) }
    }
    try pass.settle()
    whole.watch(nil)
    let syncs = found.withLock { $0 }
    #expect(syncs.count >= 2, "both disks")
    for operation in syncs {
      let (machine, pass) = try committed()
      machine.plan(FaultPlan(.ioErrorOnce, atOperation: machine.operationCount + operation))
      let error = #expect(throws: StandbyError.self) { try pass.settle() }
      machine.plan(nil)
      guard case .storage? = error else { throw error ?? .storeMissing(path: "?") }
      #expect(pass.standby.catalog.disks.contains { $0.isSuspect })
      #expect(pass.standby.catalog.newest?.reference.number == 1, "the point is not named")
      let killed = machine.kill()
      let again = try Bench.standby(in: Bench.store(on: killed))
      #expect(try again.recovery.get() == .settled(PointReference(epoch: Epoch(1), number: 2)))
      #expect(!again.catalog.disks.contains { $0.isSuspect })
      try Checks([first, second]).holdsItsNewestPoint(again, on: killed, "operation \(operation)")
    }
  }
}
