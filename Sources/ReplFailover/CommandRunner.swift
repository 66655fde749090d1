import FoundationEssentials
import ReplModel
import Subprocess

#if canImport(System)
  import System
#else
  import SystemPackage
#endif

/// Runs a command of the operator's: an argument list (never a shell line), a deadline, limited output.
public struct CommandRunner: Sendable {
  /// Output beyond this is an error of the command: nobody reads more, and memory is bounded.
  public static let outputLimitBytes = 64 << 10

  /// What the command printed; each at most `outputLimitBytes`.
  public struct Result: Sendable {
    public let standardOutput: String
    public let standardError: String
  }

  private let deadlineSeconds: Double

  public init(deadlineSeconds: Double) { self.deadlineSeconds = deadlineSeconds }

  /// The first argument is the absolute path of the program. Throws unless it ends with status 0 in time.
  public func run(_ arguments: [String]) async throws(FailoverError) -> Result {
    guard let program = arguments.first, program.hasPrefix("/") else {
      throw .commandRefused(arguments, "the first argument must be the absolute path of a program")
    }
    let deadline = deadlineSeconds
    let outcome: Outcome
    do {
      outcome = try await withThrowingTaskGroup(of: Outcome.self) { group in
        group.addTask { try await Self.execute(program, Array(arguments.dropFirst())) }
        group.addTask {
          try await Task.sleep(for: .seconds(deadline))
          return .timedOut
        }
        defer { group.cancelAll() }
        return try await group.next() ?? .timedOut
      }
    } catch {
      throw .commandFailed(arguments, "it could not be run: \(error)")
    }
    switch outcome {
    case .timedOut: throw .commandFailed(arguments, "it did not end within \(deadline) s and was killed")
    case .ended(let result, nil): return result
    case .ended(let result, let failure?):
      let said = SafeText.printable(
        result.standardError.isEmpty ? result.standardOutput : result.standardError)
      throw .commandFailed(arguments, "\(failure); it said: \(said)")
    }
  }

  /// Output without white space around it.
  static func trimmed(_ text: String) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }

  private enum Outcome: Sendable {
    case ended(Result, failure: String?)
    case timedOut
  }

  private static func execute(_ program: String, _ arguments: [String]) async throws -> Outcome {
    var options = PlatformOptions()
    // Cancelled at the deadline: first a request, then the end.
    options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(2))]
    let record = try await Subprocess.run(
      .path(FilePath(program)), arguments: Arguments(arguments), platformOptions: options,
      input: .none, output: .string(limit: outputLimitBytes), error: .string(limit: outputLimitBytes))
    let result = Result(standardOutput: record.standardOutput, standardError: record.standardError)
    return .ended(result, failure: record.terminationStatus.isSuccess ? nil : "\(record.terminationStatus)")
  }
}
