import ReplIO
import ReplModel
import ReplStandby

/// Looking at the stores, and telling what is there.
extension TargetService {
  /// A status must not wait for a store that hangs.
  private static let statusWaitSeconds = 0.5

  /// Opens stores that are missing and are there now, and notices those that went away or hang. Blocks for
  /// `waitSeconds` at most, and never for a store that is known to hang. A store that is opened after the
  /// start is recovered then.
  public func lookAtStores(waitSeconds: Double) {
    shelf.look(waitSeconds: waitSeconds) { [self] change in
      switch change {
      case .opened(let name):
        report(.storeOpened(name: name))
        recoverLate(name)
      case .returned(let name): report(.storeOpened(name: name))
      case .missing(let name, let error, let wasOpen):
        report(.storeMissing(name: name, error, wasOpen: wasOpen))
      }
    }
  }

  /// Looks at the stores again and again until `isOver`, which is asked between the looks.
  public func watchStores(everySeconds: Double, until isOver: Monitor<Bool>) {
    repeat {
      lookAtStores(waitSeconds: shelf.patienceSeconds + 1)
    } while isOver.wait(seconds: everySeconds) { $0 ? true : nil } == nil
  }

  /// What is wrong with stores, a sentence each, by the last look.
  public var storeTroubles: [String] {
    inventory.troubles.map { "store \(SafeText.printable($0.name)): \($0.error)" }
  }

  /// Puts what the catalogs say on the board: the truth about a standby lies beside it, and a failover from
  /// the command line changes it too. Needs no locks.
  public func loadBoard() throws(StandbyError) {
    lookAtStores(waitSeconds: Self.statusWaitSeconds)
    let all = inventory
    // One that went away must not hide the others; what was known of its VMs stays on the board, marked.
    try board.load(
      all.present, isComplete: all.missing.isEmpty && all.troubles.isEmpty, rpoSeconds: settings.rpoSeconds,
      now: time.wallTime())
    board.markUnreachable(all, now: time.wallTime())
  }
}
