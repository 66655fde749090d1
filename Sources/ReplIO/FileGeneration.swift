import ReplModel

/// What tells a file that nobody touched from one that somebody wrote or replaced, without reading it.
///
/// Storage differs in what it keeps. On the filesystems of `exactFilesystems` number and time of a file stay
/// what they are until somebody writes it; elsewhere (NFS, FUSE, FAT, CIFS) a file may get another number
/// with the next mount and its time may be rounded or come from another clock: there the number says nothing,
/// and times may differ by `toleranceNanoseconds`. A changed mode or owner is no change.
public struct FileGeneration: Hashable, Sendable, Codable {
  /// Where numbers and times of files are kept exactly, by `filesystemName`.
  static let exactFilesystems: Set<String> = ["ext4", "xfs", "btrfs", "tmpfs", "zfs"]
  /// FAT keeps two seconds; so does NTFS by some drivers after a mount.
  static let toleranceNanoseconds: Int64 = 2_000_000_000

  public let inode: UInt64
  public let sizeBytes: Int64
  /// Nanoseconds since 1970.
  public let modifiedNanoseconds: Int64

  public init(inode: UInt64, sizeBytes: Int64, modifiedNanoseconds: Int64) {
    self.inode = inode
    self.sizeBytes = sizeBytes
    self.modifiedNanoseconds = modifiedNanoseconds
  }

  /// What happened between `self` and `now`, in words; nil when nothing is to be seen. `isExact`: the storage
  /// keeps number and time.
  func change(to now: FileGeneration, isExact: Bool) -> String? {
    if isExact, inode != now.inode {
      return "it was replaced by another file (inode \(now.inode), was \(inode)), "
        + "last written at \(now.modifiedAt)"
    }
    if sizeBytes != now.sizeBytes {
      return "it has \(now.sizeBytes) bytes, was left with \(sizeBytes), last written at \(now.modifiedAt)"
    }
    let (difference, overflow) = now.modifiedNanoseconds.subtractingReportingOverflow(modifiedNanoseconds)
    let tolerance = isExact ? 0 : Self.toleranceNanoseconds
    guard overflow || difference.magnitude > UInt64(tolerance) else { return nil }
    return "somebody else wrote it at \(now.modifiedAt)"
  }

  private var modifiedAt: WallTime { WallTime(millisecondsSince1970: modifiedNanoseconds / 1_000_000) }
}
