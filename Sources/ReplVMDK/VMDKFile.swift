import ReplIO

/// A file that a disk is read from.
public struct VMDKFile: Sendable {
  /// What the file is to the disk.
  public enum Role: String, Sendable {
    /// The text alone.
    case descriptor
    /// Raw bytes of the disk.
    case flat
    /// Grains, tables and, in a monolithic disk, the descriptor.
    case sparse
  }

  /// Beneath the VM's folder.
  public let relativePath: String
  /// For what is known of the file without reading it: size, times, locks.
  public let file: PosixFile
  public let role: Role
}
