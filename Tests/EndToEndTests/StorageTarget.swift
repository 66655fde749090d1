import Foundation
import Glibc
import Testing

/// A kind of storage that a standby can be kept on.
enum StorageTarget: String, CaseIterable, CustomTestStringConvertible {
  case ext4, xfs, btrfs, tmpfs
  case exfat = "exFAT by FUSE"
  case ntfs = "NTFS by FUSE"
  /// A folder through a FUSE program that knows neither holes nor fallocate nor reflinks, and renames what is
  /// removed while it is open.
  case nfsLike = "NFS-like"
  case device512 = "block device, 512 byte sectors, exactly sized"
  case device512Larger = "block device, 512 byte sectors, larger"
  case device4096 = "block device, 4096 byte sectors, exactly sized"
  case device4096Larger = "block device, 4096 byte sectors, larger"

  var testDescription: String { rawValue }

  var isDevice: Bool { [.device512, .device512Larger, .device4096, .device4096Larger].contains(self) }
  var sectorBytes: Int { self == .device4096 || self == .device4096Larger ? 4096 : 512 }
  var isLarger: Bool { self == .device512Larger || self == .device4096Larger }

  /// Of the store's filesystem: as small as it can be, so that it is filled at once.
  fileprivate var sizeMiB: Int { self == .xfs ? 320 : 192 }
}

/// Such a storage, mounted for one test and undone with it. What a killed test left is undone by the
/// next one.
final class MountedTarget {
  private static let prefix = "vmrepl-target-"

  let target: StorageTarget
  private let folder: String
  private var loops: [String] = []
  /// The store's folder.
  var path: String { folder + "/fs" }

  init(_ target: StorageTarget) throws {
    try Self.removeLeftovers()
    self.target = target
    folder = NSTemporaryDirectory() + "\(Self.prefix)\(getpid())-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try mount()
  }

  deinit {
    for loop in loops { _ = try? Tool.run(["losetup", "--detach", loop]) }
    Self.undo(folder)
  }

  /// Mounts it for the first time.
  private func mount() throws {
    let image = folder + "/image"
    try Tool.must(["truncate", "-s", "\(target.sizeMiB)M", image])
    switch target {
    case .ext4, .nfsLike: try Tool.must(["mkfs.ext4", "-q", "-m", "0", image])
    case .xfs: try Tool.must(["mkfs.xfs", "-q", "-m", "reflink=1", image])
    case .btrfs: try Tool.must(["mkfs.btrfs", "-q", "--mixed", image])
    case .exfat: try Tool.must(["mkfs.exfat", image])
    case .ntfs: try Tool.must(["mkfs.ntfs", "-q", "-F", "-f", image])
    case .tmpfs, .device512, .device512Larger, .device4096, .device4096Larger: break
    }
    try mountAgain()
  }

  /// Mounts it after `unmount`, with everything that it held (but for a tmpfs).
  func mountAgain() throws {
    let image = folder + "/image"
    switch target {
    case .ext4, .xfs, .btrfs: try Tool.must(["mount", "-o", "loop", image, path])
    case .exfat: try startDaemon(["mount.exfat-fuse", try attach(image), path])
    case .ntfs: try startDaemon(["mount.ntfs-3g", try attach(image), path])
    case .nfsLike:
      let behind = folder + "/behind"
      try FileManager.default.createDirectory(atPath: behind, withIntermediateDirectories: true)
      try Tool.must(["mount", "-o", "loop", image, behind])
      try startDaemon(["bindfs", behind, path])
    case .tmpfs, .device512, .device512Larger, .device4096, .device4096Larger:
      try Tool.must(["mount", "-t", "tmpfs", "-o", "size=\(target.sizeMiB)M", "vmrepl", path])
    }
  }

  /// The program goes on in the background: it must not keep what tells us that its starter ended.
  private func startDaemon(_ command: [String]) throws {
    let close =
      "for f in /proc/self/fd/*; do n=${f##*/}; [ $n -gt 2 ] && eval \"exec $n>&-\"; done; exec \"$@\""
    try Tool.must(["bash", "-c", close, "daemon"] + command)
  }

  func unmount() { umount2(path, Int32(MNT_DETACH)) }

  /// A block device of `sizeBytes`, full of `fill`.
  func makeDevice(sizeBytes: Int, fill: UInt8) throws -> String {
    let image = folder + "/device-\(loops.count)"
    guard FileManager.default.createFile(atPath: image, contents: Data(repeating: fill, count: sizeBytes))
    else {
      throw ToolFailure(text: "cannot make \(image)")
    }
    return try attach(image)
  }

  private func attach(_ image: String) throws -> String {
    let arguments = ["losetup", "--find", "--show", "--sector-size", "\(target.sectorBytes)", image]
    let loop = try Tool.must(arguments).trimmingCharacters(in: .whitespacesAndNewlines)
    loops.append(loop)
    return loop
  }

  /// Unmounts even while something is open there.
  private static func undo(_ folder: String) {
    for name in ["fs", "behind"] { umount2("\(folder)/\(name)", Int32(MNT_DETACH)) }
    // Best effort: what stays is tried again by the next test.
    try? FileManager.default.removeItem(atPath: folder)
  }

  private static func removeLeftovers() throws {
    let parent = NSTemporaryDirectory()
    for name in try FileManager.default.contentsOfDirectory(atPath: parent) where name.hasPrefix(prefix) {
      let owner = name.dropFirst(prefix.count).prefix { $0 != "-" }
      if FileManager.default.fileExists(atPath: "/proc/\(owner)") { continue }
      for line in try Tool.must(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"]).split(
        separator: "\n")
      where line.contains(parent + name + "/") {
        _ = try Tool.run(["losetup", "--detach", String(line.prefix { $0 != " " })])
      }
      undo(parent + name)
    }
  }
}
