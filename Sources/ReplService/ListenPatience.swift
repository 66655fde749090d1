import Logging
import ReplIO
import ReplModel

/// Waits for an address that cannot be listened on: after a boot it comes with the network, a name with its
/// server, and another program that has the port may end. One patience for all addresses of a daemon.
public struct ListenPatience: Sendable {
  /// Below the unit's `TimeoutStartSec`. With the pause before a restart more than a fifth of its
  /// `StartLimitIntervalSec`, so that restarts for this reason are never too many.
  static let seconds = 70.0

  private let logger: Logger
  private let deadline: Deadline
  private let pauseSeconds: Double

  /// Its time begins now.
  public init(logger: Logger) { self.init(logger: logger, seconds: Self.seconds, pauseSeconds: 2) }

  init(logger: Logger, seconds: Double, pauseSeconds: Double) {
    self.logger = logger
    self.pauseSeconds = pauseSeconds
    deadline = Deadline(seconds: seconds)
  }

  /// What `attempt` answers; tried again while its error is one that `mayPass`, and thrown when the time is
  /// over.
  public func wait<Failure: Error, Value>(
    mayPass: (Failure) -> Bool, _ attempt: () async throws(Failure) -> Value
  ) async throws -> Value {
    var isTold = false
    while true {
      do throws(Failure) { return try await attempt() } catch {
        guard mayPass(error), !deadline.hasPassed else { throw error }
        if !isTold { logger.warning("cannot-listen-yet", metadata: ["cause": "\(error)"]) }
        isTold = true
      }
      try await Task.sleep(
        for: .seconds(min(pauseSeconds, max(0.01, Double(deadline.remainingMilliseconds) / 1000))))
    }
  }
}
