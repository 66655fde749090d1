import ReplModel
import Synchronization

/// Whether to warn that the clocks of two machines differ: the freeze time of a point is told by the source's
/// clock and its lag by the clock of whoever is asked. Once an hour a peer.
public final class ClockSkew: Sendable {
  private static let quietSeconds = 3600.0

  private let warnedAt = Mutex<[String: Int64]>([:])

  public init() {}

  /// Notes what a greeting has measured; `now` is monotonic nanoseconds.
  public func mustWarn(of seconds: Double, peer: String, now: Int64) -> Bool {
    warnedAt.withLock { warnedAt in
      guard abs(seconds) > VMStatus.clockSkewLimitSeconds else {
        warnedAt[peer] = nil
        return false
      }
      if let before = warnedAt[peer], Double(now - before) / 1e9 < Self.quietSeconds { return false }
      warnedAt[peer] = now
      return true
    }
  }

  /// What to do, for the log.
  public static let advice =
    "compare the clocks of both machines (timedatectl, chronyc tracking): the lag is told wrong by as much"
}
