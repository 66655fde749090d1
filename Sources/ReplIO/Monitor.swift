import Glibc

/// A value that several threads share, with waiting for a condition on it. Blocks: for threads of our own,
/// never for tasks.
public final class Monitor<State>: @unchecked Sendable {
  // SAFETY: `state` is touched only between lock and unlock of `mutex`.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var state: State

  public init(_ state: sending State) {
    self.state = state
    pthread_mutex_init(mutex, nil)
    changed.initializeMonotonic()
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Reads or changes the value; everyone who waits looks again.
  public func withLock<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(mutex)
    }
    return body(&state)
  }

  /// Reads the value, or changes what nobody waits for: nobody is woken.
  public func withoutWaking<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&state)
  }

  /// Waits until `body` answers something; nil when `seconds` have passed before.
  public func wait<Result>(seconds: Double, _ body: (inout State) -> Result?) -> Result? {
    var end = timespec.monotonic(secondsFromNow: seconds)
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&state) {
        pthread_cond_broadcast(changed)
        return result
      }
      if pthread_cond_timedwait(changed, mutex, &end) == ETIMEDOUT {
        let result = body(&state)
        if result != nil { pthread_cond_broadcast(changed) }
        return result
      }
    }
  }
}
