import Glibc
import ReplService

/// Asks before something is done that cannot be taken back.
enum Confirmation {
  /// `isGiven`: it was confirmed on the command line. `consequence` says what holds when it is not confirmed.
  static func ask(_ isGiven: Bool, _ consequence: String) throws {
    if isGiven { return }
    guard isatty(STDIN_FILENO) == 1 else {
      throw Failure.exit(
        .refused, "not confirmed: there is no terminal to ask on; use --yes; \(consequence)")
    }
    Terminal.say("Type yes to go on: ")
    guard readLine() == "yes" else { throw Failure.exit(.refused, "not confirmed: \(consequence)") }
  }
}
