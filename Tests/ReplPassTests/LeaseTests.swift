import ReplIO
import ReplModel
import ReplProtocol
import Synchronization
import Testing

@testable import ReplPass

/// Who may work on a VM, and who is told to wait or to go.
@Suite(.serialized) struct LeaseTests {
  private static let vm = VMID(high: 1, low: 1)

  /// A session without a connection.
  private final class Session: Sendable {
    let silence: Mutex<Double?>
    let isInterrupted = Monitor(false)
    let holder: Lease.Holder

    init(
      peer: String = "a", pass: PassID = .random(), address: String = "192.0.2.1:4711", silent: Double? = 0
    ) {
      silence = Mutex(silent)
      holder = Lease.Holder(
        peer: peer, address: address, pass: pass, since: WallTime(millisecondsSince1970: 0), phase: .receiving
      )
    }

    var claim: Lease.Claim {
      Lease.Claim(
        holder: holder, silentSeconds: { [self] in silence.withLock { $0 } },
        interrupt: { [self] in isInterrupted.withLock { $0 = true } })
    }
  }

  private func table(end: Double = 20, short: Double = 0.3) -> LeaseTable {
    LeaseTable(
      time: SystemTime(),
      waits: LeaseTable.Waits(endSeconds: end, silentSeconds: 15, shortSeconds: short))
  }

  private func refusal(_ body: () throws(PassError) -> Lease) -> (number: ErrorNumber, text: String)? {
    do throws(PassError) {
      _ = try body()
      return nil
    } catch {
      guard case .refused(let number, let text, _) = error else { return nil }
      return (number, text)
    }
  }

  @Test(
    "of two senders with the same key the second is refused with the holder's name, address and since when")
  func second() throws {
    let table = table()
    let first = Session(address: "192.0.2.7:1234")
    let lease = try table.take(Self.vm, for: first.claim)
    let refused = try #require(
      refusal { () throws(PassError) in try table.take(Self.vm, for: Session().claim) })
    #expect(refused.number == .leaseHeld)
    for part in ["peer a", "192.0.2.7:1234", "1970-01-01T00:00:00", "receiving"] {
      #expect(refused.text.contains(part), "\(part) in \(refused.text)")
    }
    #expect(!first.isInterrupted.withLock { $0 }, "a live session is left alone")
    lease.end()
    try table.take(Self.vm, for: Session().claim).end()
    #expect(table.holder(of: Self.vm) == nil)
  }

  @Test("another VM's lease is nobody's hindrance, and another peer learns nothing of the holder")
  func others() throws {
    let table = table()
    let lease = try table.take(Self.vm, for: Session().claim)
    defer { lease.end() }
    try table.take(VMID(high: 1, low: 2), for: Session().claim).end()
    let stranger = Session(peer: "b")
    let refused = try #require(
      refusal { () throws(PassError) in try table.take(Self.vm, for: stranger.claim) })
    #expect(refused.number == .notYours)
    #expect(!refused.text.contains("192.0.2.1") && !refused.text.contains("peer a"), "\(refused.text)")
  }

  /// Ends the lease when its session is interrupted, as a session does that has suspended its pass.
  private func end(_ lease: Lease, ofInterrupted session: Session) -> NamedThread {
    NamedThread.start("old session") {
      guard session.isInterrupted.wait(seconds: 10, { $0 ? true : nil }) != nil else { return }
      lease.end()
    }
  }

  @Test("the same pass on a new connection takes the place of its old one at once, after that has ended")
  func samePass() throws {
    let table = table()
    let pass = PassID.random()
    let old = Session(pass: pass)
    let lease = try table.take(Self.vm, for: old.claim)
    let ending = end(lease, ofInterrupted: old)
    let next = try table.take(Self.vm, for: Session(pass: pass).claim)
    #expect(lease.isRevoked && !next.isRevoked)
    next.end()
    ending.join()
  }

  @Test("a session that is silent for longer than heartbeats allow makes way, one that is busy does not")
  func silent() throws {
    let table = table()
    let dead = Session(silent: 16)
    let lease = try table.take(Self.vm, for: dead.claim)
    let ending = end(lease, ofInterrupted: dead)
    try table.take(Self.vm, for: Session().claim).end()
    ending.join()

    let busy = Session(silent: nil)
    let held = try table.take(Self.vm, for: busy.claim)
    defer { held.end() }
    let refused = refusal { () throws(PassError) in try table.take(Self.vm, for: Session().claim) }
    #expect(refused?.number == .leaseHeld)
    #expect(!busy.isInterrupted.withLock { $0 })
  }

  @Test("the next pass waits for the settling of the one before, and is told so when it takes too long")
  func settling() throws {
    let patient = table()
    let lease = try patient.take(Self.vm, for: Session().claim)
    lease.enter(.settling)
    let isWaiting = Monitor(false)
    let settled = NamedThread.start("settling") {
      _ = isWaiting.wait(seconds: 10) { $0 ? true : nil }
      // Longer than the wait for a session that does not end by itself.
      _ = Monitor(false).wait(seconds: 0.7) { $0 ? true : nil }
      lease.end()
    }
    isWaiting.withLock { $0 = true }
    try patient.take(Self.vm, for: Session().claim).end()
    settled.join()

    let hasty = table(end: 0.3)
    let stuck = try hasty.take(Self.vm, for: Session().claim)
    stuck.enter(.settling)
    let refused = refusal { () throws(PassError) in try hasty.take(Self.vm, for: Session().claim) }
    #expect(refused?.number == .busySettling && refused?.text.contains("settling") == true)
    let began = Deadline(seconds: 0.6)
    _ = refusal { () throws(PassError) in try hasty.take(Self.vm, for: Session().claim) }
    #expect(!began.hasPassed, "what has hung for long is not waited for again")
    stuck.end()
  }
}
