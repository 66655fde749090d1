import Foundation
import Glibc

/// A filesystem in a file, mounted, whose whole state can be kept and brought back: contents, inode numbers
/// and times, which a copy of the files would not have.
final class ImageMount {
  enum Filesystem: String, CaseIterable {
    case ext4
    case xfs

    func make(_ image: String) throws {
      switch self {
      case .ext4: try Tool.must(["mkfs.ext4", "-q", "-F", image])
      case .xfs: try Tool.must(["mkfs.xfs", "-q", "-f", image])
      }
    }

    /// xfs does not go smaller.
    var smallestMiB: Int { self == .xfs ? 304 : 16 }
  }

  private static let prefix = "vmrepl-image-"
  let folder: String
  var path: String { folder + "/fs" }
  private var image: String { folder + "/image" }
  private(set) var isMounted = false

  init(_ filesystem: Filesystem = .ext4, sizeMiB: Int) throws {
    folder = try Self.makeFolder()
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try Tool.must(["truncate", "-s", "\(max(sizeMiB, filesystem.smallestMiB))M", image])
    try filesystem.make(image)
    try mount()
  }

  deinit { Self.undo(folder) }

  /// In memory where the machine has room for it. What a killed test left there goes first.
  static func makeFolder() throws -> String {
    let parent = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm/" : NSTemporaryDirectory()
    for name in try FileManager.default.contentsOfDirectory(atPath: parent) where name.hasPrefix(prefix) {
      let owner = name.dropFirst(prefix.count).prefix { $0 != "-" }
      if !FileManager.default.fileExists(atPath: "/proc/\(owner)") { undo(parent + name) }
    }
    let folder = parent + "\(prefix)\(getpid())-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }

  static func undo(_ folder: String) {
    umount2(folder + "/fs", Int32(MNT_DETACH))
    // Best effort: what stays is tried again by the next test.
    try? FileManager.default.removeItem(atPath: folder)
  }

  func mount() throws {
    try Tool.must(["mount", "-o", "loop", image, path])
    isMounted = true
  }

  /// Nothing may be open there any more, but for programs that are about to end.
  func unmount() throws {
    try eventually("\(path) can be unmounted") { umount2(path, 0) == 0 }
    isMounted = false
  }

  /// Keeps the state under a name.
  func keep(_ name: String) throws {
    try unmount()
    try copy(image, "\(folder)/kept-\(name)")
    try mount()
  }

  /// Brings the state back that was kept.
  func restore(_ name: String) throws {
    if isMounted { try unmount() }
    try copy("\(folder)/kept-\(name)", image)
    try mount()
  }

  private func copy(_ from: String, _ to: String) throws {
    try Tool.must(["cp", "--sparse=auto", "--reflink=auto", from, to])
  }
}
