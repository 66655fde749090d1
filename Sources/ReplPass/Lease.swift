import ReplModel

/// The right to work on one VM, until `end`. While a session has it, no other one opens the VM's standby.
final class Lease: Sendable {
  /// Who has it: what others are told when they are refused.
  struct Holder: Sendable, Hashable {
    let peer: String
    /// `address:port`.
    let address: String
    let pass: PassID
    let since: WallTime
    var phase: Phase
  }

  /// How far the holder's session is.
  enum Phase: String, Sendable {
    /// Waits for its turn among the passes of all VMs.
    case waiting
    /// Opens the standby, which settles what an earlier session left.
    case opening
    case receiving
    /// Its point is committed; what is left to do does not depend on its connection.
    case settling
    /// Its point is in the disks; only the sender's goodbye is missing.
    case settled
    /// No session: the settling of what was committed before the daemon's start.
    case recovering

    /// Whether it ends by itself, soon and whatever becomes of the connection.
    var endsByItself: Bool { self == .opening || self == .settling || self == .recovering }
  }

  /// The session that asks for a lease.
  struct Claim: Sendable {
    let holder: Holder
    /// How long the session has been waiting for a byte of its peer; nil while it is busy with other things.
    let silentSeconds: @Sendable () -> Double?
    /// Ends the session's connection.
    let interrupt: @Sendable () -> Void
  }

  let vm: VMID
  private let number: UInt64
  private let table: LeaseTable

  init(vm: VMID, number: UInt64, table: LeaseTable) {
    self.vm = vm
    self.number = number
    self.table = table
  }

  /// For whoever is refused, and for who waits.
  func enter(_ phase: Phase) { table.enter(phase, vm: vm, number: number) }

  /// Another session of the same sender has taken the place: this one is to come to its end.
  var isRevoked: Bool { table.isRevoked(vm: vm, number: number) }

  /// The standby is closed: the next one may have the VM.
  func end() { table.end(vm: vm, number: number) }
}
