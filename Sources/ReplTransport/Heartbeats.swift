import ReplIO

/// Sends a sign of life at regular times from a thread of its own, until it is stopped or sending fails.
final class Heartbeats: Sendable {
  private let isStopped: Monitor<Bool>
  private let thread: NamedThread

  init(
    everySeconds: Double, send: @escaping @Sendable () throws(TransportError) -> Void
  ) throws(IOError) {
    let isStopped = Monitor(false)
    self.isStopped = isStopped
    thread = try NamedThread.tryStart("heartbeat") {
      while isStopped.wait(seconds: everySeconds, { $0 ? true : nil }) == nil {
        // Whoever uses the connection gets the same error, and is the one to say it.
        do throws(TransportError) { try send() } catch { return }
      }
    }
  }

  /// No further beat begins after this.
  func stop() { isStopped.withLock { $0 = true } }

  /// Waits for the thread; `stop` was called, and a beat that is being written was interrupted.
  func join() { thread.join() }
}
