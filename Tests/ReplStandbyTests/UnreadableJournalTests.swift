import Glibc
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Journals on a medium with bytes that cannot be read.
@Suite("Unreadable journals") struct UnreadableJournalTests {
  private let machine: SimulatedMachine
  private let first: Sender
  private let second: Sender

  init() throws {
    (machine, first) = (try Bench.machine(), try Sender(Bench.firstImage()))
    second = try Sender(Bench.secondImage())
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  /// The machine after a pass was killed, and the journal that it left.
  private func killed(commits: Bool) throws -> (SimulatedMachine, sizeBytes: Int64) {
    let pass = try Bench.standby(in: Bench.store(on: machine)).beginPass(second.offer(2))
    let sent = try second.send(to: pass)
    if commits { _ = try pass.commit(second.claims(sent)) }
    return (machine.kill(), try pass.journal.file.currentSizeBytes())
  }

  private func standby(on machine: SimulatedMachine, bad: ByteRange) throws -> Standby {
    let store = try StandbyStore(
      root: BadDirectory(machine.disk("store"), BadRange(bad), suffix: ".journal"),
      state: machine.disk("state"),
      receiver: Bench.receiver, time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0)
    return try Bench.standby(in: store)
  }

  /// Places in the journal that are inside of a body each, away from all heads.
  private func bodies(_ machine: SimulatedMachine) throws -> [ByteRange] {
    let standby = try Bench.standby(in: Bench.store(on: machine.kill()))
    let file = try standby.home.journals.openFile(try #require(standby.journalNames().first), .read)
    let reader = try #require(try RecordReader.open(file))
    var (bodies, start): ([ByteRange], Int64) = ([], reader.endBytes)
    while try reader.next() != nil {
      if reader.endBytes - start > 1024 { bodies.append(ByteRange(offset: start + 600, length: 16)) }
      start = reader.endBytes
    }
    return bodies
  }

  @Test("a journal without a commit that cannot be read is dropped: passes and failover go on")
  func uncommitted() throws {
    let (killed, _) = try killed(commits: false)
    let bodies = try bodies(killed)
    #expect(bodies.count >= 3)
    for bad in bodies {
      let machine = killed.kill()
      do {
        let standby = try standby(on: machine, bad: bad)
        #expect(try standby.recovery.get() == .discarded, "\(bad)")
        try standby.fence(reason: "test")
      }
      #expect(try Bench.standby(in: Bench.store(on: machine)).recovery.get() == .fenced)
    }
    let open = killed.kill()
    _ = try standby(on: open, bad: try #require(bodies.last))
    try second.replicate(3, to: Bench.standby(in: Bench.store(on: open)))
    try Checks([first, second, second]).holdsItsNewestPoint(
      try Bench.standby(in: Bench.store(on: open)), on: open, "after the journal was dropped")
  }

  @Test("one that may hold a commit stays, and the point before it is taken only when that is asked for")
  func committed() throws {
    let (killed, size) = try killed(commits: true)
    // The head of the commit, a body before it, and the head of a batch.
    let places = [ByteRange(offset: size - 2048, length: 2048), ByteRange(offset: 4096, length: 4096)]
    for bad in places {
      let standby = try standby(on: killed.kill(), bad: bad)
      guard case .failure(.storage(let error)) = standby.recovery else {
        Issue.record("\(bad): \(standby.recovery)")
        continue
      }
      #expect(error.systemCode == EIO)
      #expect(try standby.journalPaths().count == 1, "\(bad): it stays")
      #expect(throws: StandbyError.self) { try standby.fence(reason: "test") }
      #expect(standby.catalog.fence == nil)
      try standby.fence(reason: "test", leavesUnsettled: true)
      #expect(standby.catalog.fence?.point?.number == 1)
      #expect(try standby.journalPaths().count == 1, "\(bad): it stays")
    }
    let whole = try Bench.standby(in: Bench.store(on: killed.kill()))
    #expect(try whole.recovery.get() == .settled(PointReference(epoch: Epoch(1), number: 2)))
  }
}
