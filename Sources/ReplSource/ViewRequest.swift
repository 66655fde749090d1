import ReplVMDK

/// Which VM to freeze, and how.
public struct ViewRequest: Sendable {
  /// Absolute, from the operator's configuration.
  public var vmxPath: String
  public var freeze: FreezeSettings
  /// How the names of the disks become files.
  public var opening: DiskOpening
  /// Not replicated: they are neither judged nor frozen nor read.
  public var excludedDisks: Set<DiskSelector>
  /// Whether the clones of a freeze may be kept for the next pass.
  public var hints: HintSettings

  public init(
    vmxPath: String, freeze: FreezeSettings = .standard, opening: DiskOpening = DiskOpening(),
    excludedDisks: Set<DiskSelector> = [], hints: HintSettings = .none
  ) {
    self.vmxPath = vmxPath
    self.freeze = freeze
    self.opening = opening
    self.excludedDisks = excludedDisks
    self.hints = hints
  }

  /// Whether a disk must be opened to know that it is excluded.
  var hasExcludedIdentities: Bool {
    excludedDisks.contains { if case .disk = $0 { true } else { false } }
  }
}
