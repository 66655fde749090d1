/// The one question that is asked of an error across modules: what happens to the pass?
public enum Remedy: String, Sendable, Codable {
  /// The same pass may go on: reconnect and resume.
  case retryPass = "retry"
  /// This pass is over; the next one starts from scratch at its time.
  case abandonPass = "abandon"
  /// Nothing more for this VM until a person has acted.
  case stopVM = "stop"
}

/// Every error that leaves a module: what to do about it, and a sentence for people that names the thing,
/// what was found, what was expected and the next step.
public protocol ActionableError: Error, Sendable, CustomStringConvertible {
  var remedy: Remedy { get }
}
