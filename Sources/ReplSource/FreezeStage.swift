/// A step of a freeze that the operator's commands take part in. The text is in `VMREPL_STAGE`.
public enum FreezeStage: String, Sendable, Hashable, CaseIterable {
  case preFreeze = "pre-freeze"
  case postThaw = "post-thaw"
  case create, remove
  case take, release

  /// What the configuration calls its command.
  public var key: String {
    switch self {
    case .preFreeze: "freeze.pre_freeze"
    case .postThaw: "freeze.post_thaw"
    case .create, .remove, .take, .release: "freeze.\(rawValue)"
    }
  }
}
