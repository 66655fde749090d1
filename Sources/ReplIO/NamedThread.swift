import CLinux
import Glibc

/// A thread of our own for calls that block; Swift's cooperative pool has one thread a core and must never
/// wait.
public final class NamedThread: @unchecked Sendable {
  // SAFETY: `handle` is written once before `start` returns and read only by `join`, which one owner calls
  // once.
  private var handle = pthread_t()

  private final class Body {
    let name: String
    let work: @Sendable () -> Void
    init(name: String, work: @escaping @Sendable () -> Void) {
      self.name = name
      self.work = work
    }
  }

  private init() {}

  /// Starts a thread; the kernel shows the first 15 bytes of its name. The owner joins it.
  public static func start(_ name: String, _ work: @escaping @Sendable () -> Void) -> NamedThread {
    let thread = NamedThread()
    let body = Unmanaged.passRetained(Body(name: name, work: work))
    let code = pthread_create(
      &thread.handle, nil,
      { argument in
        let body = Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
        repl_name_current_thread(String(body.name.prefix(15)))
        body.work()
        return nil
      }, body.toOpaque())
    precondition(code == 0, "cannot start thread \(name): \(code)")
    return thread
  }

  /// Waits until the thread has ended.
  public func join() { pthread_join(handle, nil) }

  /// Instead of `join`: for a thread whose blocking call may never return, and that nobody can wait for.
  public func detach() { pthread_detach(handle) }

  /// Runs a blocking call on a thread of its own and suspends the caller until it is done.
  public static func run<Value: Sendable>(
    _ name: String, _ work: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let thread = start(name) { continuation.resume(with: Result { try work() }) }
      pthread_detach(thread.handle)
    }
  }
}
