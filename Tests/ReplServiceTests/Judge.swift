import Foundation

/// A program that judges our output.
enum Judge {
  /// In CI a missing judge is a failure: the test runs, and fails when it cannot start the program.
  static func isUsable(_ name: String) -> Bool {
    path(name) != nil || ProcessInfo.processInfo.environment["CI"] != nil
  }

  static func run(
    _ name: String, _ arguments: [String], input: String = ""
  ) throws -> (status: Int32, output: String) {
    guard let path = path(name) else { throw Missing(name: name) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let (standardInput, output) = (Pipe(), Pipe())
    process.standardInput = standardInput
    process.standardOutput = output
    process.standardError = output
    try process.run()
    // Shorter than a pipe's buffer, so writing before reading cannot block.
    precondition(input.utf8.count < 60_000, "the input does not fit into the pipe")
    try standardInput.fileHandleForWriting.write(contentsOf: Array(input.utf8))
    try standardInput.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }

  struct Missing: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) is not installed, and CI must not skip its judgement" }
  }

  private static func path(_ name: String) -> String? {
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"].map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }
}
