import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Free space: who may use it, and what happens when there is none.
@Suite("Space on a store") struct SpaceTests {
  @Test("two commits never count the same free bytes, and what one gives back the next one can have")
  func ledger() throws {
    let ledger = SpaceLedger()
    let first = try ledger.reserve(60) { 100 }
    #expect(first != nil && ledger.promisedBytes == 60)
    let refused = try ledger.reserve(41) { 100 }
    #expect(refused == nil && ledger.promisedBytes == 60)
    do {
      let second = try ledger.reserve(40) { 100 }
      #expect(second != nil && ledger.promisedBytes == 100)
    }
    #expect(ledger.promisedBytes == 60, "given back with its holder")
    withExtendedLifetime(first) {}
  }

  @Test("a pass whose journal gets too large is refused with the numbers, and nothing of it stays")
  func journalBudget() throws {
    let machine = try Bench.machine()
    let first = CrashSweepTests.senders[0]
    try first.replicate(1, to: Bench.standby(in: Bench.store(on: machine)))
    let tight = try Bench.store(on: machine, options: StoreOptions(journalBudgetBytes: 8 << 10))
    let standby = try Bench.standby(in: tight)
    let pass = try standby.beginPass(CrashSweepTests.senders[1].offer(2))
    let error = try #require(throws: StandbyError.self) { try CrashSweepTests.senders[1].send(to: pass) }
    guard case .journalFull(_, let needed, let budget) = error else { throw error }
    #expect(needed > budget && budget >= 8 << 10)
    try pass.suspend()
    #expect(try standby.home.journals.entryNames().isEmpty)
    try Checks(CrashSweepTests.senders).holdsItsNewestPoint(standby, on: machine, "after the refusal")
    let wide = try Bench.store(on: machine.kill(), options: StoreOptions(journalBudgetBytes: 8 << 20))
    try CrashSweepTests.senders[1].replicate(2, to: Bench.standby(in: wide))
  }

  @Test("what another commit was promised is not there for a pass")
  func promised() throws {
    let machine = try Bench.machine()
    machine.limitSpace(of: "store", toBytes: 8 << 20)
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    try CrashSweepTests.senders[0].replicate(1, to: standby)
    let pass = try standby.beginPass(CrashSweepTests.senders[1].offer(2))
    let sent = try CrashSweepTests.senders[1].send(to: pass)
    let free = try standby.freeBytesAboveFloor()
    let other = try #require(try store.ledger.reserve(free - 4096) { () in free })
    let error = try #require(throws: StandbyError.self) {
      _ = try pass.commit(CrashSweepTests.senders[1].claims(sent))
    }
    #expect(error.isOutOfSpace, "\(error)")
    withExtendedLifetime(other) {}
    _ = consume other
    try pass.suspend()
    try CrashSweepTests.senders[1].replicate(2, to: standby)
    #expect(store.ledger.promisedBytes == 0, "settling gives back what was promised")
  }

  private func traits(isSparse: Bool, largest: Int64) -> StorageTraits {
    StorageTraits(
      filesystem: "test", isSparse: isSparse, holes: .refused, tellsHoles: false, reservesSpace: false,
      sharesBlocks: false, readsDirectly: false, replacesByRename: true, syncsDirectories: true,
      locksFiles: true, largestFileBytes: largest, freeBytes: 0, syncMedianSeconds: 0, syncSlowestSeconds: 0)
  }

  @Test("where files take all of their size a disk that does not fit is refused before its first byte")
  func thick() throws {
    let machine = try Bench.machine()
    machine.limitSpace(of: "store", toBytes: 1 << 20)
    let store = try Bench.store(
      on: machine, options: StoreOptions(traits: traits(isSparse: false, largest: 1 << 40)))
    let standby = try Bench.standby(in: store)
    let error = try #require(throws: StandbyError.self) {
      _ = try standby.beginPass(CrashSweepTests.senders[0].offer(1))
    }
    guard case .doesNotFit(_, let needed, _) = error else { throw error }
    #expect(needed == (1 << 20) + 1536 + (96 << 10))
    #expect(try !standby.home.directory.entryNames().contains { $0.hasSuffix(".vmdk") })
    machine.limitSpace(of: "store", toBytes: nil)
    try CrashSweepTests.senders[0].replicate(1, to: standby)
  }

  @Test("a disk larger than a file may be is refused before its first byte, with both sizes")
  func largest() throws {
    let machine = try Bench.machine()
    let options = StoreOptions(traits: traits(isSparse: true, largest: 1 << 20))
    let standby = try Bench.standby(in: Bench.store(on: machine, options: options))
    let error = try #require(throws: StandbyError.self) {
      _ = try standby.beginPass(CrashSweepTests.senders[0].offer(1))
    }
    #expect("\(error)".contains("1050112") && "\(error)".contains("1048576"), "\(error)")
    #expect(standby.catalog.disks.isEmpty)
  }
}
