import Logging
import ReplIO
import ReplTransport
import Synchronization

/// Logs connections that were refused, at most a few a second: a port scan must not fill the log.
final class RefusalLog: Sendable {
  private static let perSecond = 5

  private struct Window {
    var second: Int64 = 0
    var count = 0
    var dropped = 0
  }

  private let logger: Logger
  private let window = Mutex(Window())

  init(logger: Logger) { self.logger = logger }

  func write(_ refused: RefusedConnection) {
    let second = SystemTime().monotonicNanoseconds() / 1_000_000_000
    let (isShown, dropped) = window.withLock { window -> (Bool, Int) in
      if window.second != second {
        defer { window = Window(second: second, count: 1) }
        return (true, window.dropped)
      }
      window.count += 1
      if window.count > Self.perSecond { window.dropped += 1 }
      return (window.count <= Self.perSecond, 0)
    }
    guard isShown else { return }
    var metadata: Logger.Metadata = ["peer": "\(refused.address)", "cause": "\(refused.reason)"]
    if dropped > 0 { metadata["not_shown"] = "\(dropped)" }
    logger.warning("connection-refused", metadata: metadata)
  }
}
