import ReplCommand

/// How a view of a VM is frozen.
public struct FreezeSettings: Sendable, Hashable {
  /// What makes the disks stand still while they are read.
  public enum Provider: Sendable, Hashable {
    /// Nothing: the VM is powered off, which is checked.
    case none
    /// A clone of every file, on a filesystem that shares blocks (xfs, btrfs).
    case reflink
    /// A snapshot by the virtualisation host; the chain below it stands still.
    case vmwareSnapshot(create: CommandSpec, remove: CommandSpec)
    /// A snapshot by the storage; `take` prints the folder where it is mounted.
    case command(take: CommandSpec, release: CommandSpec)

    /// As the configuration calls it.
    public var name: String {
      switch self {
      case .none: "none"
      case .reflink: "reflink"
      case .vmwareSnapshot: "vmware-snapshot"
      case .command: "command"
      }
    }
  }

  /// What to do where the VM has snapshots that are not ours (provider `vmware-snapshot`).
  public enum ForeignSnapshots: String, Sendable, Hashable, CaseIterable {
    case refuse, allow
  }

  public var provider: Provider
  /// Whether a view that is not of one instant is accepted, with the label fuzzy.
  public var allowFuzzy: Bool
  /// Whether the hooks or the snapshot command bring the guest's filesystems to rest: the label.
  public var quiesced: Bool
  public var preFreeze: CommandSpec?
  public var postThaw: CommandSpec?
  public var foreignSnapshots: ForeignSnapshots

  public init(
    provider: Provider = .none, allowFuzzy: Bool = false, quiesced: Bool = false,
    preFreeze: CommandSpec? = nil, postThaw: CommandSpec? = nil,
    foreignSnapshots: ForeignSnapshots = .refuse
  ) {
    self.provider = provider
    self.allowFuzzy = allowFuzzy
    self.quiesced = quiesced
    self.preFreeze = preFreeze
    self.postThaw = postThaw
    self.foreignSnapshots = foreignSnapshots
  }

  /// For VMs that are powered off.
  public static let standard = FreezeSettings()

  /// What hooks and commands may hold in braces: the path of the VMX, the VM's display name, its folder, its
  /// UUID, and the tag of this freeze.
  public static let placeholders = ["vmx", "name", "directory", "id", "tag"]
}
