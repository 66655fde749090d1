import ArgumentParser
import ReplIO
import ReplService
import ReplTLS

/// Ends a command with a message on standard error and an exit code of the API.
enum Failure {
  static func exit(_ code: ReplService.ExitCode, _ message: String) -> any Error {
    Terminal.complain("repl-sender: \(message)\n")
    return ArgumentParser.ExitCode(code.rawValue)
  }

  /// Ends a command that has already said what is wrong.
  static func silent(_ code: ReplService.ExitCode) -> any Error { ArgumentParser.ExitCode(code.rawValue) }

  /// Runs `body`; every error of ours becomes a message and an exit code.
  static func explaining<Value>(_ body: () async throws -> Value) async throws -> Value {
    do { return try await body() } catch { throw explain(error) }
  }

  static func explain(_ error: any Error) -> any Error {
    switch error {
    case let error as ArgumentParser.ExitCode: error
    case let error as StateDirectoryError: exit(error.exitCode, "\(error)")
    case let error as TLSError: exit(.config, "\(error)")
    case let error as StatusClientError: exit(.peerUnavailable, "\(error)")
    case let error as StatusServerError: exit(error.mayPass ? .temporary : .config, "\(error)")
    case let error as StatusJSONError: exit(.badData, "\(error)")
    case let error as NotConfirmed: exit(.refused, "\(error)")
    case let error as IOError: exit(.inputOutput, "\(error)")
    default: exit(.failed, "\(error)")
    }
  }
}
