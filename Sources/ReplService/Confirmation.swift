import Glibc

/// Asks before something is done that cannot be taken back.
public enum Confirmation {
  /// `isGiven`: it was confirmed on the command line. `consequence` says what holds when it is not confirmed.
  public static func ask(_ isGiven: Bool, _ consequence: String) throws(NotConfirmed) {
    if isGiven { return }
    guard isatty(STDIN_FILENO) == 1 else {
      throw NotConfirmed("not confirmed: there is no terminal to ask on; use --yes; \(consequence)")
    }
    Terminal.say("Type yes to go on: ")
    guard readLine() == "yes" else { throw NotConfirmed("not confirmed: \(consequence)") }
  }
}

/// Nobody said yes: nothing was done.
public struct NotConfirmed: Error, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
