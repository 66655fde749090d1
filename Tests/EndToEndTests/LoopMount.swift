import Foundation
import Glibc
import Testing

/// A filesystem of its own in a file, mounted for one test and undone with it.
///
/// What a killed test left mounted is undone by the next one.
final class LoopMount {
  enum Filesystem: String {
    /// With reflink.
    case xfs
    case btrfs
  }

  private static let prefix = "vmrepl-mount-"
  private let folder: String
  /// Where the filesystem is mounted.
  let path: String

  init(_ filesystem: Filesystem, sizeGiB: Int) throws {
    try Self.removeLeftovers()
    folder = NSTemporaryDirectory() + "\(Self.prefix)\(getpid())-\(UUID().uuidString.prefix(8))"
    path = folder + "/fs"
    let image = folder + "/image"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try Tool.must(["truncate", "-s", "\(sizeGiB)G", image])
    switch filesystem {
    case .xfs: try Tool.must(["mkfs.xfs", "-q", "-m", "reflink=1", image])
    case .btrfs: try Tool.must(["mkfs.btrfs", "-q", image])
    }
    try Tool.must(["mount", "-o", "loop", image, path])
  }

  deinit { Self.undo(folder) }

  /// Unmounts even while something is open there; the loop device goes with the last user.
  private static func undo(_ folder: String) {
    umount2(folder + "/fs", Int32(MNT_DETACH))
    // Best effort: what stays is tried again by the next test.
    try? FileManager.default.removeItem(atPath: folder)
  }

  private static func removeLeftovers() throws {
    let parent = NSTemporaryDirectory()
    for name in try FileManager.default.contentsOfDirectory(atPath: parent) where name.hasPrefix(prefix) {
      let owner = name.dropFirst(prefix.count).prefix { $0 != "-" }
      if !FileManager.default.fileExists(atPath: "/proc/\(owner)") { undo(parent + name) }
    }
  }

  /// Why this machine cannot mount files; nil where it can.
  static let obstacle: String? = {
    guard geteuid() == 0 else { return "needs root, to mount a file" }
    guard let answer = try? Tool.run(["losetup", "-f"]), answer.status == 0 else {
      return "needs loop devices"
    }
    return nil
  }()
}

extension Trait where Self == ConditionTrait {
  /// A test of the lab tier: skipped with its reason where the machine has no root or no loop devices.
  static var needsLoopMounts: ConditionTrait {
    .enabled(if: LoopMount.obstacle == nil, "\(LoopMount.obstacle ?? "")")
  }
}
