import Foundation
import Testing

/// A program that ran to its end.
struct ToolResult {
  let status: Int32
  let output: String
  let errors: String
}

/// Runs programs for the tests; everything has a deadline.
enum Tool {
  /// The two executables come from `scripts/build-release`; without it, from the debug build beside the
  /// tests.
  static let binaries: String = {
    if let folder = ProcessInfo.processInfo.environment["VMREPL_BIN_DIR"] { return folder }
    return Bundle.main.bundleURL.path
  }()

  static var sender: String { "\(binaries)/repl-sender" }
  static var receiver: String { "\(binaries)/repl-receiver" }
  static let isCI = ProcessInfo.processInfo.environment["CI"] != nil

  /// Whether a judge is there.
  static func has(_ name: String) -> Bool {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let folders: [String] = path.split(separator: ":").map { String($0) } + ["/usr/sbin", "/sbin"]
    return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
  }

  @discardableResult
  static func run(_ arguments: [String], seconds: Double = 120, input: String? = nil) throws -> ToolResult {
    let running = try Running(arguments)
    return try running.finish(seconds: seconds, input: input)
  }

  /// Runs a program that must succeed.
  @discardableResult
  static func must(
    _ arguments: [String], seconds: Double = 120
  ) throws -> String {
    let result = try run(arguments, seconds: seconds)
    guard result.status == 0 else {
      throw ToolFailure(
        text: "\(arguments.joined(separator: " ")) ended with \(result.status): \(result.errors)")
    }
    return result.output
  }
}

struct ToolFailure: Error, CustomStringConvertible {
  let text: String
  var description: String { text }
}

/// A program that is running; its output goes to files, so that nothing ever blocks on a full pipe.
final class Running {
  let process = Process()
  private let outputPath: String
  private let errorPath: String
  private let inputPipe = Pipe()

  init(_ arguments: [String], environment: [String: String] = [:]) throws {
    let stem = NSTemporaryDirectory() + "vmrepl-run-\(UUID().uuidString)"
    outputPath = stem + ".out"
    errorPath = stem + ".err"
    _ = FileManager.default.createFile(atPath: outputPath, contents: nil)
    _ = FileManager.default.createFile(atPath: errorPath, contents: nil)
    let program = arguments[0].hasPrefix("/") ? arguments : ["/usr/bin/env"] + arguments
    process.executableURL = URL(fileURLWithPath: program[0])
    process.arguments = Array(program.dropFirst())
    var merged = ProcessInfo.processInfo.environment
    merged["PATH"] = (merged["PATH"] ?? "") + ":/usr/sbin:/sbin"
    for (key, value) in environment { merged[key] = value }
    process.environment = merged
    process.standardInput = inputPipe
    let (output, errors) = (
      FileHandle(forWritingAtPath: outputPath), FileHandle(forWritingAtPath: errorPath)
    )
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // Foundation keeps them open for as long as this program runs.
    try output?.close()
    try errors?.close()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    // Best effort: leftovers in the temporary folder harm nobody.
    try? FileManager.default.removeItem(atPath: outputPath)
    try? FileManager.default.removeItem(atPath: errorPath)
  }

  var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? "" }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for the end; kills and throws after `seconds`.
  @discardableResult
  func finish(seconds: Double, input: String? = nil) throws -> ToolResult {
    if let input { inputPipe.fileHandleForWriting.write(Data(input.utf8)) }
    // The reader may be gone already; the pipe is closed all the same.
    try? inputPipe.fileHandleForWriting.close()
    let end = Date().addingTimeInterval(seconds)
    while process.isRunning {
      if Date() > end {
        kill(process.processIdentifier, SIGKILL)
        throw ToolFailure(text: "\(process.arguments ?? []) did not end within \(seconds) s: \(errors)")
      }
      usleep(2000)
    }
    return ToolResult(status: process.terminationStatus, output: output, errors: errors)
  }

  /// Processor time that the process used so far.
  var processorSeconds: Double {
    guard let text = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8),
      let rest = text.split(separator: ")").last
    else { return 0 }
    // After the name, the 12th and 13th field: ticks in user and in system mode.
    let fields = rest.split(separator: " ")
    return [11, 12].reduce(0) { $0 + (Double(fields[$1]) ?? 0) } / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// The most memory the process had resident so far, bytes.
  var peakMemoryBytes: Int {
    guard
      let text = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let kilobytes = line.split(whereSeparator: { !$0.isNumber }).first.flatMap({ Int($0) })
    else { return 0 }
    return kilobytes << 10
  }
}

/// Waits for a condition; never sleeps blindly.
func eventually(
  seconds: Double = 30, _ what: String, _ condition: () throws -> Bool
) throws {
  let end = Date().addingTimeInterval(seconds)
  while try !condition() {
    guard Date() < end else { throw ToolFailure(text: "\(what): not within \(seconds) s") }
    usleep(5000)
  }
}

extension Trait where Self == ConditionTrait {
  /// A test that needs programs of the system: skipped with this reason where one is missing, and failing
  /// there in CI.
  static func needs(_ names: String...) -> ConditionTrait {
    .enabled(if: Tool.isCI || names.allSatisfy(Tool.has), "needs \(names.joined(separator: ", "))")
  }
}
