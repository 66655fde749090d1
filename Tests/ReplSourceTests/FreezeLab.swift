import Foundation
import Glibc
import ReplCommand
import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplSource

/// A VM whose freeze commands are shell scripts that write down when they ran.
final class FreezeLab: Sendable {
  let folder: PrimaryFolder
  /// One line a command: its stage.
  let logPath: String
  /// Where the played storage mounts its snapshots.
  let mounts: String
  let events = Mutex<[FreezeEvent]>([])
  let freezer: ViewFreezer

  init(_ folder: PrimaryFolder? = nil) throws {
    let folder = try folder ?? PrimaryFolder(disks: ["web", "data"])
    self.folder = folder
    logPath = "\(folder.path)/state/log"
    mounts = "\(folder.path)/state/mounts"
    freezer = try folder.freezer()
    try #require(mkdir(mounts, 0o700) == 0 || errno == EEXIST)
  }

  /// A command that notes its stage, then does `script`. `$1` to `$5` are the placeholders.
  func command(_ script: String = "", deadline: Double = 20) throws -> CommandSpec {
    let arguments = [
      "/bin/sh", "-c", "echo $VMREPL_STAGE >> '\(logPath)'; \(script)", "sh", "{vmx}", "{name}",
      "{directory}",
      "{id}", "{tag}",
    ]
    return CommandSpec(
      template: try CommandTemplate(arguments: arguments, placeholders: FreezeSettings.placeholders),
      deadlineSeconds: deadline)
  }

  /// A storage whose snapshots are copies.
  func storage(take: String = "", release: String = "") throws -> FreezeSettings.Provider {
    .command(
      take: try command(
        take.isEmpty
          ? "mkdir '\(mounts)'/$5 && cp -p \"$3\"/*.vm* '\(mounts)'/$5 && echo '\(mounts)'/$5" : take),
      release: try command(release.isEmpty ? "rm -rf '\(mounts)'/$5" : release))
  }

  func request(_ freeze: FreezeSettings) -> ViewRequest {
    ViewRequest(vmxPath: folder.vmxPath, freeze: freeze)
  }

  /// On a thread of its own: commands need the ones that tests run on.
  func take(_ freeze: FreezeSettings) async throws -> VMView { try await take(request(freeze)) }

  func take(_ request: ViewRequest) async throws -> VMView {
    try await NamedThread.run("freeze") { [self] in
      try freezer.take(request) { [self] event in events.withLock { $0.append(event) } }
    }
  }

  func refusal(_ freeze: FreezeSettings) async throws -> SourceError {
    do {
      _ = try await take(freeze)
    } catch let error as SourceError {
      return error
    }
    throw IOError(.damaged, "refuse", path: "the freeze", detail: "it was not refused")
  }

  func release(_ view: VMView) async throws -> FreezeHold {
    try await NamedThread.run("release") { try view.release() }
  }

  func clean(_ requests: [ViewRequest]) async throws -> [LeftoverReport] {
    try await NamedThread.run("clean") { [self] in
      freezer.clean(requests) { [self] event in events.withLock { $0.append(event) } }
    }
  }

  func clean(_ freeze: FreezeSettings) async throws -> [LeftoverReport] {
    try await clean([request(freeze)])
  }

  var log: [String] {
    let text = (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").map { String($0) }
  }

  /// Records and locks in the ledger.
  var ledger: [String] {
    ((try? PosixDirectory(path: "\(folder.path)/state").entryNames()) ?? []).filter {
      $0.hasPrefix("vmrepl-")
    }
  }

  var records: [String] { ledger.filter { $0.hasSuffix(".json") } }

  /// Of the first freeze in the ledger.
  func tag() throws -> FreezeTag {
    let name = try #require(records.first)
    return try #require(FreezeTag(name.dropLast(".json".count)))
  }

  var mounted: [String] { (try? PosixDirectory(path: mounts).entryNames()) ?? ["unreadable"] }

  /// All that carries a tag in the VM's folder.
  var tagged: [String] {
    ((try? PosixDirectory(path: folder.path).entryNames()) ?? []).filter { $0.contains("vmrepl-") }
  }
}

/// The first bytes of a disk of a view.
func firstBytes(of view: VMView, disk index: Int = 0, count: Int = 16) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: count)
  try bytes.withUnsafeMutableBytes { try view.disks[index].image.read(into: $0, at: 0) }
  return bytes
}

/// Programs of the system that tests need.
enum SystemTool {
  static let isCI = ProcessInfo.processInfo.environment["CI"] != nil

  static func has(_ name: String) -> Bool {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let folders: [String] = path.split(separator: ":").map { String($0) } + ["/usr/sbin", "/sbin"]
    return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
  }

  @discardableResult static func run(_ arguments: String...) async throws -> String {
    try await run(arguments)
  }

  @discardableResult static func run(_ arguments: [String]) async throws -> String {
    try await CommandRunner(deadlineSeconds: 60).run(["/usr/bin/env"] + arguments).standardOutput
  }
}

extension Trait where Self == ConditionTrait {
  /// Programs of the system: without them the test is skipped, and fails in CI.
  static func needs(_ names: String...) -> ConditionTrait {
    .enabled(
      if: SystemTool.isCI || names.allSatisfy(SystemTool.has), "needs \(names.joined(separator: ", "))")
  }

  /// A loop mount: needs root wherever it runs, and the programs as `needs` says.
  static func needsMount(_ names: String...) -> ConditionTrait {
    .enabled(
      if: geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0
        && (SystemTool.isCI || names.allSatisfy(SystemTool.has)),
      "needs root, loop devices and \(names.joined(separator: ", "))")
  }
}
