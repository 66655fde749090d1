import ReplIO

/// How a session ends when its daemon does: the peer is told first, so that it does not take the end for a
/// fault, and the connection is cut where that takes too long.
final class SessionEnding: Sendable {
  /// How long telling the peer, and its own farewell, may take: of five seconds that a daemon has.
  static let graceSeconds = 1.0

  private struct State {
    var isStopping = false
    var isOver = false
    /// How the thread that sends data learns that it has to tell; nil while nobody sends any.
    var stopSending: (@Sendable () -> Void)?
    var threads: [NamedThread] = []
  }

  private let state = Monitor(State())

  /// Whether the daemon is ending under this session.
  var isStopping: Bool { state.withLock { $0.isStopping } }

  /// Returns at once. `tell` tells the peer where no other thread is sending; `cut` ends the connection, nil
  /// where somebody else does.
  func begin(tell: @escaping @Sendable () -> Void, cut: (@Sendable () -> Void)?) {
    let areStarted = state.withLock { state in
      guard !state.isStopping, !state.isOver else { return true }
      state.isStopping = true
      do throws(IOError) {
        // A thread of its own: the peer may be one that takes nothing.
        state.threads = [try NamedThread.tryStart("stop-tell", state.stopSending ?? tell)]
        guard let cut else { return true }
        let cutting = try NamedThread.tryStart("stop-cut") { [self] in
          let hasEnded: Bool? = self.state.wait(seconds: Self.graceSeconds) { $0.isOver ? true : nil }
          if hasEnded == nil { cut() }
        }
        state.threads.append(cutting)
        return true
      } catch {
        return false
      }
    }
    // Without a thread to wait with, the peer takes the end for a fault of the connection, and comes again.
    if !areStarted { cut?() }
  }

  /// Runs `body`, whose thread sends data and tells the peer itself once `stop` has made it end.
  func whileSending<Result>(
    stop: @escaping @Sendable () -> Void, _ body: () throws(PassError) -> Result
  ) throws(PassError) -> Result {
    let isStopping = state.withLock { state in
      state.stopSending = stop
      return state.isStopping
    }
    if isStopping { stop() }
    defer { state.withLock { $0.stopSending = nil } }
    return try body()
  }

  /// The connection is closed: nothing is to be told or cut any more.
  func end() {
    let threads = state.withLock { state in
      state.isOver = true
      return state.threads
    }
    for thread in threads { thread.join() }
  }
}
