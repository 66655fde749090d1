import Glibc
import ReplIO
import ReplModel
import Subprocess
import Synchronization

#if canImport(System)
  import System
#else
  import SystemPackage
#endif

/// Runs a command of the operator's: an argument list (never a shell line), a deadline, limited output.
public struct CommandRunner: Sendable {
  /// The end of the output that is kept; what came before is read and dropped, so that memory is bounded.
  public static let outputLimitBytes = 64 << 10
  /// Between the request to end and the end.
  private static let graceSeconds: Double = 2

  /// What the command printed: the last `outputLimitBytes` of each.
  public struct Result: Sendable {
    public let standardOutput: String
    public let standardError: String
  }

  private let deadlineSeconds: Double
  private let environment: [String: String]
  private let outputLimitBytes: Int

  /// `environment` comes on top of this process's own. `outputLimitBytes`: how much of the end of each output
  /// is kept.
  public init(
    deadlineSeconds: Double, environment: [String: String] = [:],
    outputLimitBytes: Int = CommandRunner.outputLimitBytes
  ) {
    self.deadlineSeconds = deadlineSeconds
    self.environment = environment
    self.outputLimitBytes = outputLimitBytes
  }

  /// As `run`, for a thread of our own that may block; never from a task, whose thread the command needs.
  /// - Parameter isStopping: asked a few times a second; once it says so the command is ended.
  public func runBlocking(
    _ arguments: [String], isStopping: @escaping () -> Bool = { false }
  ) throws(CommandError) -> Result {
    if isStopping() { throw .stopped(arguments) }
    let answer = Monitor<Swift.Result<Result, CommandError>?>(nil)
    let command = Task {
      do throws(CommandError) {
        let result = try await run(arguments)
        answer.withLock { $0 = .success(result) }
      } catch {
        answer.withLock { $0 = .failure(error) }
      }
    }
    // The command has a deadline of its own, and one that is cancelled a grace period: this loop only waits
    // for its end.
    var isCancelled = false
    while true {
      if let result = answer.wait(seconds: 0.2, { $0 }) {
        if isCancelled, case .failure = result { throw .stopped(arguments) }
        return try result.get()
      }
      if !isCancelled, isStopping() {
        command.cancel()
        isCancelled = true
      }
    }
  }

  /// The first argument is the absolute path of the program. Throws unless it ends with status 0 in time; at
  /// the deadline it is ended together with every process that it started.
  public func run(_ arguments: [String]) async throws(CommandError) -> Result {
    guard let program = arguments.first, program.hasPrefix("/") else {
      throw .refused(arguments, "the first argument must be the absolute path of a program")
    }
    let deadline = deadlineSeconds
    let environment = environment
    let limit = outputLimitBytes
    let group = ProcessGroup()
    let outcome: Outcome
    do {
      outcome = try await withThrowingTaskGroup(of: Outcome.self) { tasks in
        tasks.addTask {
          try await Self.execute(program, Array(arguments.dropFirst()), environment, group, limit: limit)
        }
        tasks.addTask {
          try await Task.sleep(for: .seconds(deadline))
          await group.end(graceSeconds: Self.graceSeconds)
          return .timedOut
        }
        defer { tasks.cancelAll() }
        let first = try await tasks.next() ?? .timedOut
        // Its end may have been the deadline's doing.
        return group.wasEnded ? .timedOut : first
      }
    } catch {
      throw .failed(arguments, "it could not be run: \(error)")
    }
    switch outcome {
    case .timedOut: throw .killed(arguments, seconds: deadline)
    case .ended(let result, nil): return result
    case .ended(let result, let failure?):
      let said = Self.trimmed(result.standardError.isEmpty ? result.standardOutput : result.standardError)
      if said.isEmpty { throw .failed(arguments, "it \(failure) and said nothing") }
      // What it said last tells most.
      let end = SafeText.printable(String(said.suffix(1024)), limit: 1024)
      throw .failed(arguments, "it \(failure) and said: \(end)")
    }
  }

  /// Output without white space around it.
  public static func trimmed(_ text: String) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }

  private enum Outcome: Sendable {
    case ended(Result, failure: String?)
    case timedOut
  }

  private static func execute(
    _ program: String, _ arguments: [String], _ environment: [String: String], _ group: ProcessGroup,
    limit: Int
  ) async throws -> Outcome {
    var options = PlatformOptions()
    // A group of its own, so that what it starts can be ended with it.
    options.processGroupID = 0
    options.teardownSequence = [
      .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(graceSeconds))
    ]
    let record = try await Subprocess.run(
      .path(FilePath(program)), arguments: Arguments(arguments),
      environment: .inherit.updating(variables(environment)), platformOptions: options, input: .none,
      output: .sequence, error: .sequence
    ) { execution in
      group.began(execution.processIdentifier.value)
      async let said = tail(of: execution.standardError, limit)
      let printed = try await tail(of: execution.standardOutput, limit)
      return Result(standardOutput: printed, standardError: try await said)
    }
    return .ended(record.closureResult, failure: words(record.terminationStatus))
  }

  private static func variables(_ environment: [String: String]) -> [Environment.Key: String?] {
    var result: [Environment.Key: String?] = [:]
    for (name, value) in environment { result[Environment.Key(stringLiteral: name)] = value }
    return result
  }

  private static func tail(of output: SubprocessOutputSequence, _ limit: Int) async throws -> String {
    var kept: [UInt8] = []
    for try await buffer in output {
      buffer.withUnsafeBytes { kept.append(contentsOf: $0) }
      if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
    }
    return String(decoding: kept.suffix(limit), as: UTF8.self)
  }

  private static func words(_ status: TerminationStatus) -> String? {
    switch status {
    case .exited(0): nil
    case .exited(let code): "ended with status \(code)"
    case .signaled(let signal): "was ended by signal \(signal)"
    }
  }
}

/// The process group of a command.
private final class ProcessGroup: Sendable {
  private struct State {
    var id: pid_t?
    var wasEnded = false
  }

  private let state = Mutex(State())

  func began(_ id: pid_t) { state.withLock { $0.id = id } }

  var wasEnded: Bool { state.withLock { $0.wasEnded } }

  /// Asks every process of the group to end, and ends those that have not after `graceSeconds`.
  func end(graceSeconds: Double) async {
    let id = state.withLock { state in
      state.wasEnded = true
      return state.id
    }
    guard let id, kill(-id, SIGTERM) == 0 else { return }
    for _ in 0..<20 where kill(-id, 0) == 0 {
      // Cancelled when the command itself has ended: what is left of its group ends at once.
      do { try await Task.sleep(for: .seconds(graceSeconds / 20)) } catch { break }
    }
    _ = kill(-id, SIGKILL)
  }
}
