import ReplCommand

/// Where a VM's change hints come from.
public struct HintSettings: Sendable, Hashable {
  /// Who says what did not change.
  public enum Provider: Sendable, Hashable {
    /// Nobody: every pass reads all that the disks hold.
    case none
    /// The blocks that the clones of this freeze share with those of the last one.
    case reflink
    /// The links of a chain that nobody touched.
    case chain
    /// A command of the operator's, such as one that asks for VMware's changed block tracking.
    case command(CommandSpec)

    /// As the configuration calls it.
    public var name: String {
      switch self {
      case .none: "none"
      case .reflink: "reflink"
      case .chain: "chain"
      case .command: "command"
      }
    }

    /// What a record is good for: the name, and the command with its arguments, which may lead to another
    /// source with the same name.
    var identity: String {
      guard case .command(let spec) = self else { return name }
      return "command " + CommandLineText.quoted(spec.template.arguments)
    }
  }

  public var provider: Provider
  /// Within how many days everything that hints call unchanged is read all the same.
  public var auditDays: Double

  public init(provider: Provider = .none, auditDays: Double = 7) {
    self.provider = provider
    self.auditDays = auditDays
  }

  /// No hints.
  public static let none = HintSettings()

  /// What the command may hold in braces: those of the freeze, the disk's slot, and the change ID that was
  /// printed last time.
  public static let placeholders = FreezeSettings.placeholders + ["disk", "change_id"]
}
