import ReplIO
import ReplModel
import ReplProtocol

/// Which session works on which VM: one at a time. Another one waits a bounded time for its end, or is told
/// who it is.
///
/// A holder whose connection is dead keeps its lease for 30 s at most after its last byte
/// (`ProtocolTimeouts.idleSeconds`), plus what the storage takes to sync what came. Its own sender does not
/// wait for that: it takes the place of a session of the same pass at once, for the sender opens a
/// connection only after it has closed the one before, and of one that has been silent for longer than
/// heartbeats allow. Either way the old session has ended and closed the standby before the new one begins.
final class LeaseTable: Sendable {
  /// The waits, in seconds.
  struct Waits: Sendable {
    /// For the end of a session of the same sender that ends by itself (a settling), and of one that was
    /// interrupted, counted from when that began. Half of what a sender waits for the answer to its offer.
    var endSeconds: Double = 300
    /// Of a live connection a heartbeat comes every 10 s: silent for longer than this, it is taken for dead.
    var silentSeconds: Double = 15
    /// For a session that does not end by itself: enough to see whether its connection is silent.
    var shortSeconds: Double = 16
  }

  private struct Entry {
    var claim: Lease.Claim
    var holder: Lease.Holder
    let number: UInt64
    var isRevoked = false
    /// Since when it is what it is, monotonic: a settling that hangs is not waited for by one pass after the
    /// other.
    var changedNanoseconds: Int64
  }

  private struct State {
    var entries: [VMID: Entry] = [:]
    var nextNumber: UInt64 = 0
  }

  private let state = Monitor(State())
  private let time: any TimeSource
  private let waits: Waits

  init(time: any TimeSource, waits: Waits = Waits()) {
    self.time = time
    self.waits = waits
  }

  /// Who has the lease of a VM.
  func holder(of vm: VMID) -> Lease.Holder? { state.withLock { $0.entries[vm]?.holder } }

  /// The lease, when nobody has it.
  func takeFree(_ vm: VMID, for claim: Lease.Claim) -> Lease? {
    state.withLock { Self.takeFree(vm, for: claim, &$0, self) }
  }

  /// The lease of a VM that is the claimant's own. Blocks while that is worth while.
  func take(_ vm: VMID, for claim: Lease.Claim) throws(PassError) -> Lease {
    let began = time.monotonicNanoseconds()
    while true {
      let lease = state.wait(seconds: 0.25) { state in Self.takeFree(vm, for: claim, &state, self) }
      if let lease { return lease }
      // Without the lock: asking a connection is not the table's business.
      guard let entry = state.withLock({ $0.entries[vm] }) else { continue }
      let waited = seconds(since: began)
      switch verdict(on: entry, for: claim.holder, waitedSeconds: waited) {
      case .wait: continue
      case .takeOver: revoke(entry, vm)
      case .refuse(let error): throw error
      }
    }
  }

  private static func takeFree(
    _ vm: VMID, for claim: Lease.Claim, _ state: inout State, _ table: LeaseTable
  ) -> Lease? {
    guard state.entries[vm] == nil else { return nil }
    state.nextNumber += 1
    state.entries[vm] = Entry(
      claim: claim, holder: claim.holder, number: state.nextNumber,
      changedNanoseconds: table.time.monotonicNanoseconds())
    return Lease(vm: vm, number: state.nextNumber, table: table)
  }

  private enum Verdict {
    case wait, takeOver
    case refuse(PassError)
  }

  private func verdict(on entry: Entry, for claimant: Lease.Holder, waitedSeconds: Double) -> Verdict {
    let holder = entry.holder
    let isRecovery = holder.phase == .recovering
    // Nothing is said of others: whose VM it is shows when the first of them has made its standby.
    guard isRecovery || holder.peer == claimant.peer else { return .refuse(.foreign) }
    if entry.isRevoked || holder.phase.endsByItself {
      let isSlow = max(seconds(since: entry.changedNanoseconds), waitedSeconds) >= waits.endSeconds
      return waitedSeconds < waits.shortSeconds || !isSlow ? .wait : .refuse(.stillBusy(with: holder))
    }
    if holder.pass == claimant.pass || holder.phase == .settled { return .takeOver }
    if let silent = entry.claim.silentSeconds(), silent > waits.silentSeconds { return .takeOver }
    return waitedSeconds < waits.shortSeconds ? .wait : .refuse(.leased(to: holder))
  }

  private func revoke(_ entry: Entry, _ vm: VMID) {
    let isNews = state.withLock { state -> Bool in
      guard let now = state.entries[vm], now.number == entry.number, !now.isRevoked else { return false }
      // Meanwhile it may have committed: then it ends by itself, and the connection is not needed for it.
      state.entries[vm]?.isRevoked = true
      state.entries[vm]?.changedNanoseconds = time.monotonicNanoseconds()
      return true
    }
    if isNews { entry.claim.interrupt() }
  }

  private func seconds(since began: Int64) -> Double { Double(time.monotonicNanoseconds() - began) / 1e9 }

  // MARK: - For the holder

  func enter(_ phase: Lease.Phase, vm: VMID, number: UInt64) {
    state.withLock { state in
      guard let entry = state.entries[vm], entry.number == number, entry.holder.phase != phase else { return }
      state.entries[vm]?.holder.phase = phase
      state.entries[vm]?.changedNanoseconds = time.monotonicNanoseconds()
    }
  }

  func isRevoked(vm: VMID, number: UInt64) -> Bool {
    state.withLock { state in
      guard let entry = state.entries[vm], entry.number == number else { return true }
      return entry.isRevoked
    }
  }

  func end(vm: VMID, number: UInt64) {
    state.withLock { if $0.entries[vm]?.number == number { $0.entries[vm] = nil } }
  }
}

extension PassError {
  fileprivate static var foreign: PassError {
    .refused(.notYours, "another peer of this receiver is working on this VM: one VM has one sender")
  }

  fileprivate static func leased(to holder: Lease.Holder) -> PassError {
    .refused(
      .leaseHeld,
      "another session works on this VM: peer \(SafeText.printable(holder.peer)) from "
        + "\(SafeText.printable(holder.address)) since \(holder.since), \(holder.phase.rawValue); a VM has "
        + "one writer: if a second sender runs with this one's configuration and key, stop one of the two",
      retryAfterSeconds: 30)
  }

  fileprivate static func stillBusy(with holder: Lease.Holder) -> PassError {
    .refused(
      .busySettling,
      "an earlier session of this VM (from \(SafeText.printable(holder.address)) since \(holder.since)) has "
        + "not come to its end, \(holder.phase.rawValue): look at the receiver's storage",
      retryAfterSeconds: 15)
  }
}
