import Foundation
import Glibc
import Testing

/// A real Linux in QEMU (without KVM, which is not everywhere), running from a VMDK.
final class Guest {
  enum Task: String { case write, check }

  /// Memory of the guest: the kernel with its archive, and little page cache, so that it writes all the time.
  private static let memoryMiB = 192
  /// The node that stands for the disk's base; snapshots are put on top of it.
  static let baseNode = "base"

  let running: Running
  /// What the program in the guest says, on a serial port of its own: kernel messages cannot run into it.
  let reportPath: String
  private let consolePath: String
  /// Where the machine is controlled from (QMP).
  let controlPath: String

  init(_ task: Task, disk: String, in folder: String) throws {
    let stem = "\(folder)/guest-\(task.rawValue)"
    reportPath = stem + ".report"
    consolePath = stem + ".console"
    controlPath = stem + ".qmp"
    let archive = stem + ".cpio"
    let busybox = try Data(contentsOf: URL(fileURLWithPath: try #require(Self.busybox)))
    let modules = try GuestProgram.diskModules.map { name in
      Array(try Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/modules/\(name).ko")))
    }
    try Data(GuestProgram.archive(busybox: Array(busybox), modules: modules))
      .write(to: URL(fileURLWithPath: archive))
    running = try Running([
      "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-smp", "1",
      "-m", "\(Self.memoryMiB)", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
      "-serial", "file:\(consolePath)", "-serial", "file:\(reportPath)",
      "-qmp", "unix:\(controlPath),server=on,wait=off",
      "-kernel", try #require(Self.kernel), "-initrd", archive,
      "-append", "console=ttyS0 panic=-1 vmrepl=\(task.rawValue) ",
      "-blockdev", "driver=vmdk,node-name=\(Self.baseNode),file.driver=file,file.filename=\(disk)",
      // Not NVMe, for which this kernel needs no module: that of QEMU 7.2 forgets requests now and then.
      "-device", "virtio-blk-pci,drive=\(Self.baseNode)",
    ])
  }

  deinit { running.signal(SIGKILL) }

  /// What the program in the guest has said so far, in whole lines.
  var report: [Substring] { Self.lines(of: reportPath) }

  /// What the kernel has said so far, in whole lines.
  var console: [Substring] { Self.lines(of: consolePath) }

  /// The newest file that the guest called synced; 0 before the first.
  var newestSynced: Int { Self.numbers("SYNCED", in: report).max() ?? 0 }

  static func lines(of path: String) -> [Substring] {
    // QEMU may not have made the file yet.
    guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: path)) else { return [] }
    let text = String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "\r", with: "")
    // The last piece is a line under way, or empty.
    return Array(text.split(separator: "\n", omittingEmptySubsequences: false).dropLast())
  }

  /// The numbers of lines like `SYNCED 12`.
  static func numbers(_ word: String, in lines: [Substring]) -> [Int] {
    lines.compactMap { line in
      line.hasPrefix(word + " ") ? Int(line.dropFirst(word.utf8.count + 1)) : nil
    }
  }

  /// Waits until the guest has synced file `number`.
  func waitForFile(_ number: Int, seconds: Double = 60) throws {
    try eventually(seconds: seconds, "file \(number) in the guest") {
      guard running.process.isRunning else {
        throw ToolFailure(text: "the guest ended: \(running.errors) \(console.suffix(5))")
      }
      return newestSynced >= number
    }
  }

  /// Waits until a guest with the task `check` has told its verdict, and ends it; answers all that it said.
  func verdict(seconds: Double) throws -> [Substring] {
    try eventually(seconds: seconds, "a verdict of the guest") {
      guard running.process.isRunning else {
        throw ToolFailure(text: "the guest ended without a verdict: \(running.errors)")
      }
      return report.contains { $0.hasPrefix(GuestProgram.verdict) }
    }
    try kill()
    return report
  }

  /// As a power cut: nothing is flushed.
  func kill() throws {
    running.signal(SIGKILL)
    try running.finish(seconds: 10)
  }

  // MARK: - What it is made of

  /// Where `scripts/fetch-guest-kernel` puts the kernel and the modules of its disk.
  private static let folder =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path + "/.build/guest"

  /// A kernel with ext4 and serial ports built in; nil where there is none.
  static let kernel: String? = {
    let path = folder + "/vmlinuz"
    return FileManager.default.isReadableFile(atPath: path) ? path : nil
  }()

  private static let busybox = ["/bin/busybox", "/usr/bin/busybox"].first {
    FileManager.default.isReadableFile(atPath: $0)
  }
}

extension Trait where Self == ConditionTrait {
  /// A test with a guest; fails in CI where its kernel is missing.
  static var needsGuest: ConditionTrait {
    .enabled(
      if: Tool.isCI || Guest.kernel != nil,
      "needs .build/guest/vmlinuz: run scripts/fetch-guest-kernel")
  }
}
