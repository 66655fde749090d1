import ReplVMDK

/// What to look at, and how closely.
public struct InspectionRequest: Sendable {
  /// Absolute: a VMX or a disk.
  public var path: String
  /// How the names of the disks become files.
  public var opening: DiskOpening
  /// Disks of the VM that the configuration excludes: shown, not judged.
  public var excludedDisks: Set<DiskSelector>
  /// Whether the whole virtual content of every disk is hashed.
  public var hashesContent: Bool

  public init(
    path: String, opening: DiskOpening = DiskOpening(), excludedDisks: Set<DiskSelector> = [],
    hashesContent: Bool = false
  ) {
    self.path = path
    self.opening = opening
    self.excludedDisks = excludedDisks
    self.hashesContent = hashesContent
  }

  /// How far looking at one disk is.
  public struct Progress: Sendable, Hashable {
    /// What is being done with it.
    public enum Step: Sendable, Hashable {
      /// Reading tables: what is allocated?
      case tables
      /// Hashing the content.
      case content
    }

    public let step: Step
    /// As the VMX names it.
    public let file: String
    public let doneBytes: Int64
    public let totalBytes: Int64
  }
}
