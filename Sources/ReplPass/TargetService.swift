import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport
import Synchronization

/// The receiver: takes connections and runs a session for each; one slow or failing VM never delays another.
public final class TargetService: Sendable {
  /// What happened, for the log: the executable writes it.
  public enum Event: Sendable {
    case committed(vm: String, peer: String, RecoveryPoint, VMStatus.Pass)
    case settled(vm: String, PointReference)
    case ended(vm: String?, peer: String, PassError)
    case statusNotKept(IOError)
    /// Retention has dropped points, older first. `overBudgetBytes` when the budget is exceeded all the same.
    case pointsDropped(vm: String, [(point: PointReference, reason: DropReason)], overBudgetBytes: Int64)
    /// Points that should have gone are still there; the next pass tries again.
    case retentionFailed(vm: String, StandbyError)
    /// The sender's clock minus ours, when a person should look at it.
    case clockSkew(peer: String, seconds: Double)
    /// A proof came to its end, whatever it found.
    case proven(peer: String, ProofStatement, path: String)
    /// A proof that was asked for did not.
    case notProven(vm: String, peer: String, PassError)
    /// A store is open, or one that went away is there again.
    case storeOpened(name: String)
    /// A store cannot be used; told once. `wasOpen`: it went away, or stopped to answer.
    case storeMissing(name: String, StandbyError, wasOpen: Bool)
    case recovered(store: String, directory: String, Result<Recovery, StandbyError>)
    /// A part of a standby was read again.
    case verified(vm: String, VerifyOutcome, endsRound: Bool)
    case notVerified(vm: String, StandbyError)
  }

  let receiver: ReceiverID
  let settings: TargetSettings
  let shelf: StoreShelf
  let keys: TargetKeys
  let board: StatusBoard
  let time: any TimeSource
  /// Nil: this receiver takes part in no proofs.
  let desk: ProofDesk?
  let report: @Sendable (Event) -> Void
  let leases: LeaseTable
  let queue: PassQueue
  let connections: PeerConnections
  private let stopping = StopSignal()
  private let clockSkew = ClockSkew()
  /// Whether the recovery of the start has begun, and of which stores there was one.
  let recovery = Mutex<(hasBegun: Bool, names: Set<String>)>((false, []))

  /// New standbys go to the first store unless the settings name another for their peer. While a configured
  /// store is missing no standby is made, for the VM may have its standby there.
  public init(
    receiver: ReceiverID, settings: TargetSettings, stores: StoreShelf, keys: TargetKeys,
    board: StatusBoard, time: any TimeSource, desk: ProofDesk? = nil,
    report: @escaping @Sendable (Event) -> Void
  ) {
    self.receiver = receiver
    self.settings = settings
    shelf = stores
    self.keys = keys
    self.board = board
    self.time = time
    self.desk = desk
    self.report = report
    leases = LeaseTable(time: time, waits: settings.leaseWaits)
    queue = PassQueue(limits: settings.limits)
    connections = PeerConnections(limit: settings.limits.connectionsPerPeer)
  }

  /// What the hello names.
  var features: [Feature] { settings.features.filter { $0 != .proof || desk != nil } }

  /// Those that can be used now, in the order of the configuration.
  public var stores: [(name: String, store: StandbyStore)] { shelf.inventory.stores }

  /// Which stores there are now.
  var inventory: StoreShelf.Inventory { shelf.inventory }

  /// What a listener for this service must be told.
  public static func transport(productVersion: String) -> TransportOptions {
    .ours(product: productVersion, program: .receiver)
  }

  /// Serves one connection to its end.
  public func serve(_ connection: FrameConnection) {
    let session = TargetSession(service: self, connection: connection)
    let conversation = session.conversation
    do throws(PassError) {
      try stopping.whileWatching(wake: { conversation.stop(cuts: false) }) { () throws(PassError) in
        try connections.during(session.peer) { () throws(PassError) in try session.run() }
      }
    } catch {
      let error = conversation.meaning(of: error)
      conversation.tell(error)
      report(.ended(vm: session.vmName, peer: session.peer, error))
    }
    connection.close()
    conversation.ending.end()
  }

  /// The daemon is ending: every sender is told. Returns at once; the listener cuts what is left later.
  public func stop() { stopping.set() }

  func note(clockSkewSeconds seconds: Double, peer: String) {
    guard clockSkew.mustWarn(of: seconds, peer: peer, now: time.monotonicNanoseconds()) else { return }
    report(.clockSkew(peer: peer, seconds: seconds))
  }

  /// Keeps what the board says for a restart. Only history: a failure is logged and harms nothing.
  func keepStatus(_ vm: VMID) {
    do throws(IOError) { try board.keep(vm) } catch { report(.statusNotKept(error)) }
  }
}
