/// A step of a freeze that the operator's commands take part in. The text is in `VMREPL_STAGE`.
public enum FreezeStage: String, Sendable, Hashable, CaseIterable {
  case preFreeze = "pre-freeze"
  case postThaw = "post-thaw"
  case create, remove
  case take, release

  /// Whether its command is ended when the sender ends; one that lets go or takes away is not.
  var mayBeGivenUp: Bool {
    switch self {
    case .preFreeze, .create, .take: true
    case .postThaw, .remove, .release: false
    }
  }

  /// What the configuration calls its command.
  public var key: String {
    switch self {
    case .preFreeze: "freeze.pre_freeze"
    case .postThaw: "freeze.post_thaw"
    case .create, .remove, .take, .release: "freeze.\(rawValue)"
    }
  }
}
