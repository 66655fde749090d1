import ReplIO
import ReplModel
import ReplStandby
import ReplTransport

/// Looks once a second whether a failover waits for the standby, while a pass may be waiting for a quiet
/// sender; then ends the connection, so that the pass makes way.
final class FailoverWatch: Sendable {
  private enum State { case watching, found(PassError), ended }

  // SAFETY: the watching thread calls only `checkFailoverRequest`, which reads immutable, thread-safe
  // directories.
  private nonisolated(unsafe) let standby: Standby
  private let state = Monitor(State.watching)
  private let thread: Monitor<NamedThread?>

  init(standby: Standby, connection: FrameConnection) throws(PassError) {
    self.standby = standby
    thread = Monitor(nil)
    let watching = try NamedThread.ofPass("failover-watch") { [self] in watch(connection) }
    thread.withLock { $0 = watching }
  }

  private func watch(_ connection: FrameConnection) {
    while state.wait(seconds: 1, { state -> Bool? in if case .watching = state { nil } else { true } }) == nil
    {
      do throws(StandbyError) {
        try standby.checkFailoverRequest()
      } catch {
        guard case .interruptedByFailover = error else { continue }
        state.withLock { $0 = .found(.standby(error)) }
        connection.interrupt()
        return
      }
    }
  }

  /// Why the connection was ended, when it was this that ended it.
  var reason: PassError? { state.withLock { if case .found(let error) = $0 { error } else { nil } } }

  /// Ends the thread and waits for it.
  func end() {
    state.withLock { state in if case .watching = state { state = .ended } }
    thread.withLock { thread -> NamedThread? in
      defer { thread = nil }
      return thread
    }?.join()
  }
}
