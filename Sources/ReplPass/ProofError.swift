import ReplModel
import ReplTLS

/// Why a proof did not come to its end, or why a statement is not to be believed.
public enum ProofError: ActionableError, Hashable {
  /// The other side is of a version that knows no proofs.
  case notSpoken(peer: String)
  /// The view does not stand still.
  case fuzzyView
  /// The answer to the commit was lost: the point exists, and this connection is not the one that made it.
  case answerLost
  /// The other side ended the session before the proof.
  case left
  /// A statement that contradicts itself or was changed; a signature that is none.
  case untrue(String)
  /// A file that is no statement.
  case unreadable(path: String, detail: String)
  case signing(TLSError)

  public var remedy: Remedy { .abandonPass }

  public var description: String {
    switch self {
    case .notSpoken(let peer):
      "the \(peer) is of a version without proofs (it does not offer the feature \"proof\"): upgrade it and "
        + "ask again"
    case .fuzzyView:
      "the VM runs while its disks are read (a fuzzy view), so reading them twice proves nothing: give it "
        + "a freeze provider, or power it off for a proof"
    case .answerLost:
      "the connection was lost at the commit: the recovery point exists, the proof does not; ask again"
    case .left: "the other side left before the proof was done: look at its log, and ask again"
    case .untrue(let detail): detail
    case .unreadable(let path, let detail): "\(path): not a proof statement: \(detail)"
    case .signing(let error): "\(error)"
    }
  }
}
