import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport

/// The receiver: takes connections and runs a session for each; one slow or failing VM never delays another.
public final class TargetService: Sendable {
  /// What happened, for the log: the executable writes it.
  public enum Event: Sendable {
    case committed(vm: String, peer: String, RecoveryPoint, VMStatus.Pass)
    case settled(vm: String, PointReference)
    case ended(vm: String?, peer: String, PassError)
    case statusNotKept(IOError)
    case recovered(store: String, directory: String, Result<Recovery, StandbyError>)
  }

  let receiver: ReceiverID
  let settings: TargetSettings
  let stores: [(name: String, store: StandbyStore)]
  private let missingStores: [StandbyError]
  let keys: TargetKeys
  let board: StatusBoard
  let time: any TimeSource
  let report: @Sendable (Event) -> Void

  /// `stores` in the order of the configuration, at least one; new standbys go to the first one unless the
  /// settings name another for their peer. `missingStores` says why configured stores are not open: while
  /// there is one, no standby is made, for the VM may have its standby there.
  public init(
    receiver: ReceiverID, settings: TargetSettings, stores: [(name: String, store: StandbyStore)],
    missingStores: [StandbyError] = [], keys: TargetKeys,
    board: StatusBoard, time: any TimeSource, report: @escaping @Sendable (Event) -> Void
  ) {
    precondition(!stores.isEmpty, "a receiver has a store")
    self.receiver = receiver
    self.settings = settings
    self.stores = stores
    self.missingStores = missingStores
    self.keys = keys
    self.board = board
    self.time = time
    self.report = report
  }

  /// What a listener for this service must be told.
  public static func transport(productVersion: String) -> TransportOptions {
    .ours(product: productVersion, program: .receiver)
  }

  /// Serves one connection to its end.
  public func serve(_ connection: FrameConnection) {
    let session = TargetSession(service: self, connection: connection)
    do throws(PassError) {
      try session.run()
    } catch {
      session.conversation.tell(error)
      report(.ended(vm: session.vmName, peer: session.peer, error))
    }
    connection.close()
  }

  /// Puts what the catalogs say on the board: the truth about a standby lies beside it, and a failover from
  /// the command line changes it too. Needs no locks.
  public func loadBoard() throws(StandbyError) {
    try board.load(
      stores.map(\.store), isComplete: missingStores.isEmpty, rpoSeconds: settings.rpoSeconds,
      now: time.wallTime())
  }

  /// Settles what was committed before the last end; for start-up. A VM that fails does not keep the others.
  public func recover() {
    for (name, store) in stores {
      do throws(StandbyError) {
        for result in try store.recoverAll() {
          report(.recovered(store: name, directory: result.directory, result.outcome))
          guard let vm = result.vm else { continue }
          note(result.outcome, vm: vm)
        }
      } catch {
        report(.recovered(store: name, directory: "", .failure(error)))
      }
    }
    do throws(StandbyError) { try loadBoard() } catch {
      report(.recovered(store: "", directory: "", .failure(error)))
    }
  }

  private func note(_ outcome: Result<Recovery, StandbyError>, vm: VMID) {
    guard case .failure(let error) = outcome else {
      guard case .success(.settled) = outcome else { return }
      // What failed before has come to a good end.
      board.update(vm) { ($0.lastFailure, $0.state) = (nil, .idle) }
      return
    }
    // A pass of the VM runs already, and its opening has recovered it.
    if case .lockHeld = error { return }
    board.update(vm) { status in
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: "recover", cause: "\(error)", remedy: error.remedy)
      status.state = error.remedy == .stopVM ? .stopped : .failing
    }
  }

  /// Keeps what the board says for a restart. Only history: a failure is logged and harms nothing.
  func keepStatus(_ vm: VMID) {
    do throws(IOError) { try board.keep(vm) } catch { report(.statusNotKept(error)) }
  }

  /// Finds the standby of a VM in any store and takes it; makes it in the peer's store when there is none.
  /// Nil when there is none and the offer is one of a seed, which needs a recovery point.
  func take(_ offer: Offer, peer: String) throws(PassError) -> (StandbyStore, Standby)? {
    do throws(StandbyError) {
      for (_, store) in stores {
        if let standby = try store.open(vm: offer.vm, waitSeconds: TargetSettings.lockWaitSeconds) {
          return (store, standby)
        }
      }
      if let missing = missingStores.first { throw missing }
      guard offer.purpose == .pass else { return nil }
      let wanted = settings.storeOfPeer[peer]
      let store = (stores.first { $0.name == wanted } ?? stores[0]).store
      return (store, try store.create(vm: offer.vm, displayName: offer.displayName, owner: peer))
    } catch { throw .standby(error) }
  }
}
