import Foundation
import Glibc

/// The library `Tests/Faults/syscall-shim.c`, preloaded into a program to let one of its calls on files go
/// wrong; its head says what it can do.
struct SyscallShim {
  enum Fault: String, CaseIterable, CustomStringConvertible {
    case killBefore = "kill-before"
    case killAfter = "kill-after"
    case torn
    case short
    case ioError = "error:EIO"
    case outOfSpace = "error:ENOSPC"
    case interrupted = "error:EINTR"

    var description: String { rawValue }
    var kills: Bool { self == .killBefore || self == .killAfter || self == .torn }
    /// The program must go on as if nothing had been.
    var isHarmless: Bool { self == .short || self == .interrupted }

    fileprivate var argument: String {
      switch self {
      case .ioError: "error:\(EIO)"
      case .outOfSpace: "error:\(ENOSPC)"
      case .interrupted: "error:\(EINTR)"
      default: rawValue
      }
    }

    /// The kinds of calls that can end so, as letters of the shim; empty for all.
    fileprivate var kinds: String {
      switch self {
      case .killBefore, .killAfter, .ioError: ""
      case .torn, .short: "w"
      case .outOfSpace: "wsrdcal"
      // A sync that was interrupted is a failed one, and the others of Linux are not interrupted on files.
      case .interrupted: "wtca"
      }
    }

    /// Whether a call of this name can end so.
    func applies(to call: String) -> Bool {
      let letter =
        switch call {
        case "pwrite", "write", "writev": "w"
        case "fsync", "fdatasync": "s"
        case "ftruncate": "t"
        case "fallocate": "a"
        case "mkdir", "mkdirat": "d"
        case "link", "linkat": "l"
        case _ where call.hasPrefix("rename"): "r"
        case _ where call.hasPrefix("unlink"): "u"
        default: "c"
        }
      return kinds.isEmpty || kinds.contains(letter)
    }
  }

  /// A call that was counted: its number, its name and the file.
  struct Call {
    let number: Int
    let name: String
    let path: String
  }

  private static let library = Result { try build() }
  let report: String

  /// `report` is where the shim writes what it counted.
  init(report: String) throws {
    _ = try Self.library.get()
    self.report = report
  }

  private static func build() throws -> String {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Faults/syscall-shim.c").path
    let library = NSTemporaryDirectory() + "vmrepl-syscall-shim-\(getpid()).so"
    try Tool.must(
      ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"])
    return library
  }

  /// For a program that only counts.
  func counting(beneath folders: [String]) throws -> [String: String] {
    // Best effort: there may be none.
    try? FileManager.default.removeItem(atPath: report)
    return [
      "LD_PRELOAD": try Self.library.get(), "VMREPL_SHIM_BENEATH": folders.joined(separator: ":"),
      "VMREPL_SHIM_REPORT": report,
    ]
  }

  /// For a program whose `number`th call, counted from 1, or the first one after it that can, goes wrong.
  func injecting(_ fault: Fault, at number: Int, beneath folders: [String]) throws -> [String: String] {
    var environment = try counting(beneath: folders)
    environment["VMREPL_SHIM_AT"] = "\(number)"
    environment["VMREPL_SHIM_FAULT"] = fault.argument
    if !fault.kinds.isEmpty { environment["VMREPL_SHIM_ONLY"] = fault.kinds }
    return environment
  }

  /// What a program did.
  struct Calls {
    var counted: [Call] = []
    /// The one that went wrong.
    var met: Call?

    /// The file whose sync went wrong and that was synced again without having been written again: the
    /// kernel says of the second one that all is well, and the data is gone.
    var retriedSync: String? {
      guard let met, met.name == "fdatasync" else { return nil }
      let next = counted.first { $0.number > met.number && $0.path == met.path }
      return next?.name == "fdatasync" ? met.path : nil
    }
  }

  /// What was counted, and the call that was met.
  func calls() throws -> Calls {
    guard FileManager.default.fileExists(atPath: report) else { return Calls() }
    let text = try String(contentsOfFile: report, encoding: .utf8)
    var calls = Calls()
    for line in text.split(separator: "\n") {
      let isMet = line.hasPrefix("fault ")
      let words = line.dropFirst(isMet ? 6 : 0).split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count == 3, let number = Int(words[0]) else { continue }
      let call = Call(number: number, name: words[1], path: words[2])
      if isMet { calls.met = call } else { calls.counted.append(call) }
    }
    return calls
  }
}
