import ReplModel

/// The limits of this module.
///
/// Memory per disk: a delta in flight holds one bit per leaf (8 MiB for 64 TiB in pages of 4 KiB) and 1/256
/// of that for each level above. Everything else is bounded by the buffers below, whatever the disk's size.
public enum DigestLimits {
  /// Nodes in one request or answer: one node's children, 8 KiB.
  public static let nodesPerRequest = 256
  /// Leaves in one request or answer: 256 KiB, well inside a frame of 1 MiB.
  public static let leavesPerRequest = 64
  /// Leaves read or written in one call while building, checking and merging: 1 MiB.
  static let leavesPerBlock = 256
  /// The only length a key file may have.
  static let keyFileBytes = 128
}
