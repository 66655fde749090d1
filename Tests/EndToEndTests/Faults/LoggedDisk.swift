import Foundation
import Glibc

/// A filesystem on a device whose every write and flush is logged: a file, exported by QEMU's storage daemon through
/// `blklogwrites` and FUSE, behind a loop device.
final class LoggedDisk {
  private let folder: String
  private let filesystem: ImageMount.Filesystem
  private let daemon: Running
  private let device: String
  let mountPoint: String
  private var isOpen = true

  /// The image as it was before the first logged write.
  var startImage: String { folder + "/start" }
  var logPath: String { folder + "/log" }

  init(_ filesystem: ImageMount.Filesystem, sizeMiB: Int, mountPoint: String) throws {
    folder = try ImageMount.makeFolder()
    self.filesystem = filesystem
    self.mountPoint = mountPoint
    let (disk, export) = (folder + "/disk", folder + "/export")
    try Tool.must(["truncate", "-s", "\(max(sizeMiB, filesystem.smallestMiB))M", disk])
    try filesystem.make(disk)
    try Tool.must(["cp", "--sparse=auto", disk, folder + "/start"])
    for path in [folder + "/log", export] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    daemon = try Running([
      "qemu-storage-daemon",
      "--blockdev", "driver=file,node-name=disk,filename=\(disk)",
      "--blockdev", "driver=file,node-name=log,filename=\(folder)/log",
      "--blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log,log-super-update-interval=1",
      "--export", "type=fuse,id=export,node-name=logged,mountpoint=\(export),writable=on",
    ])
    let bytes = max(sizeMiB, filesystem.smallestMiB) << 20
    let running = daemon
    try eventually("the export") {
      guard running.process.isRunning else { throw ToolFailure(text: "no export: \(running.errors)") }
      var status = stat()
      return stat(export, &status) == 0 && status.st_size == bytes
    }
    device = try Tool.must(["losetup", "-f", "--show", export]).trimmingCharacters(
      in: .whitespacesAndNewlines)
    try Tool.must(["mount", device, mountPoint])
  }

  deinit {
    guard isOpen else { return ImageMount.undo(folder) }
    umount2(mountPoint, Int32(MNT_DETACH))
    // Best effort: the test has failed already.
    _ = try? Tool.run(["losetup", "-d", device])
    daemon.signal(SIGKILL)
    umount2(folder + "/export", Int32(MNT_DETACH))
    ImageMount.undo(folder)
  }

  /// Writes and flushes so far.
  func entryCount() throws -> Int { try WriteLog.entryCount(of: logPath) }

  /// Ends it in order and reads the log.
  func close() throws -> WriteLog {
    try eventually("\(mountPoint) can be unmounted") { umount2(mountPoint, 0) == 0 }
    try Tool.must(["losetup", "-d", device])
    // All of the log is in its file: the daemon need not end in order, which it does not always do.
    daemon.signal(SIGKILL)
    try daemon.finish(seconds: 20)
    umount2(folder + "/export", Int32(MNT_DETACH))
    isOpen = false
    return try WriteLog(path: logPath)
  }
}
