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

  public init(
    vmxPath: String, freeze: FreezeSettings = .standard, opening: DiskOpening = DiskOpening(),
    excludedDisks: Set<DiskSelector> = []
  ) {
    self.vmxPath = vmxPath
    self.freeze = freeze
    self.opening = opening
    self.excludedDisks = excludedDisks
  }

  /// Whether a disk must be opened to know that it is excluded.
  var hasExcludedIdentities: Bool {
    excludedDisks.contains { if case .disk = $0 { true } else { false } }
  }
}
