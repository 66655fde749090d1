import Foundation
import Glibc

/// A disk image behind QEMU's storage daemon: a file that logs what is written or fails where it is told
/// to, as a file of its own by FUSE. With a filesystem in it: mounted, through a loop device.
final class ExportedDisk {
  /// What lies between the export and the image, as options of the daemon; the node that is exported is
  /// `top`.
  struct Filter: Sendable {
    fileprivate let blockdevs: [String]

    static let none = Filter(blockdevs: ["driver=raw,node-name=top,file=image"])

    /// Every write and flush goes to the file at `path`, as dm-log-writes would write it.
    static func logged(to path: String) -> Filter {
      Filter(blockdevs: [
        "driver=file,node-name=log,filename=\(path)",
        "driver=blklogwrites,node-name=top,file=image,log=log,log-super-update-interval=1",
      ])
    }

    enum Operation: String {
      case read
      case write
    }

    /// Reads or writes that touch the sector of 512 bytes fail with EIO, for as long as the filter is there.
    static func failing(_ operation: Operation, sector: Int) -> Filter {
      Filter(blockdevs: [
        "driver=blkdebug,node-name=top,image=image,inject-error.0.event=none,"
          + "inject-error.0.iotype=\(operation.rawValue),inject-error.0.sector=\(sector),"
          + "inject-error.0.errno=5"
      ])
    }

    /// The `number`th flush fails with EIO, once.
    static func failingFlush(_ number: Int) -> Filter {
      var options = "driver=blkdebug,node-name=faulty,image=image"
      for state in 1..<max(number, 2) where number > 1 {
        options +=
          ",set-state.\(state - 1).event=flush_to_disk,set-state.\(state - 1).state=\(state)"
          + ",set-state.\(state - 1).new_state=\(state + 1)"
      }
      options +=
        ",inject-error.0.event=flush_to_disk,inject-error.0.state=\(number)"
        + ",inject-error.0.iotype=flush,inject-error.0.errno=5,inject-error.0.once=on"
      return Filter(blockdevs: [options, "driver=raw,node-name=top,file=faulty"])
    }
  }

  let image: String
  /// The exported file.
  let export: String
  private var daemon: Running?
  private var device: String?
  private var mountPoint: String?

  /// Exports `image` as the file `export`, which is made when it is not there.
  init(image: String, as export: String, _ filter: Filter) throws {
    self.image = image
    self.export = export
    try start(filter)
  }

  deinit {
    // Best effort: after a failed test only.
    try? end()
  }

  private func start(_ filter: Filter) throws {
    if !FileManager.default.fileExists(atPath: export) {
      _ = FileManager.default.createFile(atPath: export, contents: nil)
    }
    var before = stat()
    guard stat(export, &before) == 0 else { throw ToolFailure(text: "cannot make \(export)") }
    var arguments = ["qemu-storage-daemon", "--blockdev", "driver=file,node-name=image,filename=\(image)"]
    for options in filter.blockdevs { arguments += ["--blockdev", options] }
    arguments += ["--export", "type=fuse,id=export,node-name=top,mountpoint=\(export),writable=on"]
    let running = try Running(arguments)
    daemon = running
    try eventually("the export of \(image)") {
      guard running.process.isRunning else { throw ToolFailure(text: "no export: \(running.errors)") }
      var now = stat()
      return stat(export, &now) == 0 && now.st_dev != before.st_dev
    }
  }

  /// Mounts the filesystem in it.
  func mount(at path: String, options: String = "defaults") throws {
    let device = try Tool.must(["losetup", "-f", "--show", export]).trimmingCharacters(
      in: .whitespacesAndNewlines)
    self.device = device
    try Tool.must(["mount", "-o", options, device, path])
    mountPoint = path
  }

  /// Ends mount and export; nothing may be open there any more.
  func close() throws {
    if let mountPoint { try eventually("\(mountPoint) can be unmounted") { umount2(mountPoint, 0) == 0 } }
    mountPoint = nil
    try end()
  }

  private func end() throws {
    if let mountPoint { umount2(mountPoint, Int32(MNT_DETACH)) }
    if let device { try Tool.must(["losetup", "-d", device]) }
    (mountPoint, device) = (nil, nil)
    // What it wrote is in its files: it need not end in order, which it does not always do.
    daemon?.signal(SIGKILL)
    try daemon?.finish(seconds: 20)
    daemon = nil
    umount2(export, Int32(MNT_DETACH))
  }

  /// Another filter, with the mount as it was.
  func reopen(_ filter: Filter, options: String = "defaults") throws {
    let path = mountPoint
    try close()
    try start(filter)
    if let path { try mount(at: path, options: options) }
  }

  /// Stops or continues the daemon: everything that touches the disk waits.
  func pause(_ isPaused: Bool) { daemon?.signal(isPaused ? SIGSTOP : SIGCONT) }
}

/// A filesystem on a device whose every write and flush is logged.
final class LoggedDisk {
  private let folder: String
  private let disk: ExportedDisk

  /// The image as it was before the first logged write.
  var startImage: String { folder + "/start" }
  private var logPath: String { folder + "/log" }

  init(_ filesystem: ImageMount.Filesystem, sizeMiB: Int, mountPoint: String) throws {
    folder = try ImageMount.makeFolder()
    let image = folder + "/disk"
    try Tool.must(["truncate", "-s", "\(max(sizeMiB, filesystem.smallestMiB))M", image])
    try filesystem.make(image)
    try Tool.must(["cp", "--sparse=auto", image, folder + "/start"])
    _ = FileManager.default.createFile(atPath: folder + "/log", contents: nil)
    disk = try ExportedDisk(image: image, as: folder + "/export", .logged(to: folder + "/log"))
    try disk.mount(at: mountPoint)
  }

  deinit { ImageMount.undo(folder) }

  /// Writes and flushes so far.
  func entryCount() throws -> Int { try WriteLog.entryCount(of: logPath) }

  /// Ends it in order and reads the log.
  func close() throws -> WriteLog {
    try disk.close()
    return try WriteLog(path: logPath)
  }
}
