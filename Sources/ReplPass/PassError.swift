import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import ReplStandby
import ReplTransport

/// Why a pass did not commit, at either end.
public enum PassError: ActionableError {
  case transport(TransportError)
  case wire(ProtocolError)
  case source(SourceError)
  case standby(StandbyError)
  case digest(DigestError)
  case io(IOError)
  /// The daemon is ending; the pass can be resumed.
  case stopping
  /// The peer did not do in time what comes next.
  case timedOut(String, seconds: Double)
  /// A page that was asked for again reads differently than in the scan.
  case resent(disk: DiskSlot, page: Int64)
  /// Another receiver, or one with another digest key, answered in the middle of a pass.
  case receiverChanged(from: ReceiverID, to: ReceiverID)
  /// A view that does not stand still cannot be taken up again.
  case fuzzyInterrupted(String)
  /// A seed was offered of what a recovery point holds, or of a VM that has none.
  case notSeeding(VMID, detail: String)
  /// The receiver does not take the pass now: a lease or a limit.
  case refused(ErrorNumber, String, retryAfterSeconds: Int? = nil)
  /// A proof that was asked for cannot be had.
  case proof(ProofError)

  public var remedy: Remedy {
    switch self {
    case .transport(let error): error.remedy
    case .wire(let error): error.remedy
    case .source(let error): error.remedy
    case .standby(let error): error.remedy
    case .digest, .io: .abandonPass
    case .stopping, .timedOut: .retryPass
    case .refused(let number, _, _): number.remedy
    case .resent, .receiverChanged, .fuzzyInterrupted, .notSeeding, .proof: .abandonPass
    }
  }

  /// This daemon is ending.
  var isStopping: Bool { if case .stopping = self { true } else { false } }

  /// One of the two daemons is ending, as it was told: nothing failed.
  public var isOrderlyEnd: Bool {
    switch self {
    case .stopping: true
    case .wire(.peer(let number, _, _)): number == ErrorNumber.shuttingDown.rawValue
    case .transport(let error): error.code == .interrupted
    default: false
    }
  }

  /// Seconds that the peer asked to wait before the next try.
  public var retryAfterSeconds: Double? {
    if case .wire(.peer(_, _, let seconds?)) = self { return Double(seconds) }
    return nil
  }

  public var description: String {
    switch self {
    case .transport(let error): "\(error)"
    case .wire(let error): "\(error)"
    case .source(let error): "\(error)"
    case .standby(let error): "\(error)"
    case .digest(let error): "\(error)"
    case .io(let error): "\(error)"
    case .proof(let error): "\(error)"
    case .stopping: "the daemon is ending; the pass goes on after the next start"
    case .timedOut(let what, let seconds):
      "\(what) took longer than \(seconds) s: look at the peer's log and storage; the pass is tried again"
    case .receiverChanged(let before, let now):
      "receiver \(now) answered where \(before) had: does the address lead to two receivers? Name one of them"
    case .fuzzyInterrupted(let cause):
      "\(cause); a running VM's disks have changed since, so the pass begins anew"
    case .notSeeding(let vm, let detail):
      "\(vm): \(detail): only a disk that was added to a VM with a recovery point is seeded; the next pass "
        + "learns which disks are new"
    case .refused(_, let text, _): text
    case .resent(let disk, let page):
      "disk \(disk): page \(page) reads differently now than when it was scanned: the source is "
        + "not standing still"
    }
  }
}
