import Foundation
import ReplIO
import ReplModel
import ReplTLS
import Testing

/// A directory of its own that ends with the object.
final class Scratch: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/repl-tls-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw IOError.current("make directory", path: "/tmp") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  // What is left over in /tmp harms nobody.
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func sub(_ name: String) -> String { "\(path)/\(name)" }

  func identity(_ name: String) throws -> TLSIdentity { try TLSIdentity.create(in: sub(name), name: name) }

  func mode(_ name: String) -> UInt32 {
    var status = stat()
    return stat(sub(name), &status) == 0 ? status.st_mode & 0o7777 : 0
  }

  func text(_ name: String) throws -> String { try String(contentsOfFile: sub(name), encoding: .utf8) }

  func write(_ name: String, _ text: String) throws {
    try text.write(toFile: sub(name), atomically: false, encoding: .utf8)
  }
}

/// What a program said and how it ended.
struct ProgramResult: Sendable {
  let status: Int32
  let output: String
}

/// Runs `openssl` to its end, at most 20 seconds. The input stays open until then unless text is given.
@discardableResult
func openssl(_ arguments: [String], input: String? = nil) throws -> ProgramResult {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
  process.arguments = arguments
  let (stdin, output) = (Pipe(), Pipe())
  process.standardInput = stdin
  process.standardOutput = output
  process.standardError = output
  try process.run()
  if let input {
    stdin.fileHandleForWriting.write(Data(input.utf8))
    try stdin.fileHandleForWriting.close()
  }
  let handle = process.processIdentifier
  let ended = Monitor(false)
  let killer = NamedThread.start("killer") {
    if ended.wait(seconds: 20, { $0 ? true : nil }) == nil { kill(handle, SIGKILL) }
  }
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  ended.withLock { $0 = true }
  killer.join()
  return ProgramResult(status: process.terminationStatus, output: text)
}

/// A blocking call on a thread of its own whose result a test waits for with a deadline.
final class Background<Value: Sendable>: Sendable {
  private let result = Monitor<Result<Value, any Error>?>(nil)

  init(_ name: String, _ work: @escaping @Sendable () throws -> Value) {
    let result = self.result
    _ = NamedThread.start(name) {
      let value = Result { try work() }
      result.withLock { $0 = value }
    }
  }

  struct TimedOut: Error {}

  func value(seconds: Double = 15) throws -> Value {
    guard let result = result.wait(seconds: seconds, { $0 }) else { throw TimedOut() }
    return try result.get()
  }

  /// The error that the work ended with.
  func error(seconds: Double = 15) throws -> TLSError {
    guard let result = result.wait(seconds: seconds, { $0 }) else { throw TimedOut() }
    guard case .failure(let error as TLSError) = result else { throw TimedOut() }
    return error
  }
}
