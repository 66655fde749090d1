import ArgumentParser
import Glibc
import ReplService

/// Ends a command with a message on standard error and an exit code of the API.
enum Failure {
  static func exit(_ code: ReplService.ExitCode, _ message: String) -> any Error {
    Terminal.complain("repl-receiver: \(message)\n")
    return ArgumentParser.ExitCode(code.rawValue)
  }
}

extension Failure {
  /// Ends a command that has already said what is wrong.
  static func silent(_ code: ReplService.ExitCode) -> any Error { ArgumentParser.ExitCode(code.rawValue) }
}
