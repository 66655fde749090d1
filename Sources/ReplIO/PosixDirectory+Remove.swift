import CLinux
import Glibc

extension PosixDirectory {
  /// Removes an empty directory right beneath this one. Durable after `sync`.
  public func removeDirectory(_ name: String) throws(IOError) {
    guard FileName.isPlain(name) else { throw IOError(.refusedName, "remove", path: childPath(name)) }
    guard unlinkat(descriptor, name, AT_REMOVEDIR) == 0 else {
      throw .current("remove directory", path: childPath(name))
    }
  }

  /// Whether both are one folder of one mounted filesystem.
  public func isSame(as other: PosixDirectory) throws(IOError) -> Bool {
    let (mine, theirs) = (try status(), try other.status())
    return mine.device == theirs.device && mine.inode == theirs.inode
  }

  /// What the filesystem that it lies on is called: `xfs`, `nfs`, or its magic number.
  public func filesystemName() throws(IOError) -> String {
    let type = repl_filesystem_type(descriptor)
    guard type >= 0 else { throw .current("query filesystem", path: path) }
    return Self.filesystemName(magic: UInt32(truncatingIfNeeded: type))
  }

  static func filesystemName(magic: UInt32) -> String {
    filesystems[magic] ?? "a filesystem of type 0x\(String(magic, radix: 16))"
  }

  /// From `linux/magic.h` and `statfs(2)`.
  private static let filesystems: [UInt32: String] = [
    0x5846_5342: "xfs", 0x9123_683E: "btrfs", 0xEF53: "ext4", 0x6969: "nfs", 0x0102_1994: "tmpfs",
    0x6573_5546: "fuse", 0xFF53_4D42: "cifs", 0xFE53_4D42: "smb2", 0x794C_7630: "overlayfs",
    0x2FC1_2FC1: "zfs", 0x4D44: "vfat", 0x2011_BAB0: "exfat",
  ]
}
