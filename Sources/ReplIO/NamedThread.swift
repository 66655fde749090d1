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

  /// Starts a thread that there must be. Where what others do decides how many there are: `tryStart`.
  public static func start(_ name: String, _ work: @escaping @Sendable () -> Void) -> NamedThread {
    do throws(IOError) { return try tryStart(name, work) } catch { preconditionFailure("\(error)") }
  }

  /// Starts a thread; the kernel shows the first 15 bytes of its name. The owner joins it. Throws `EAGAIN`
  /// where the system has none left.
  public static func tryStart(
    _ name: String, _ work: @escaping @Sendable () -> Void
  ) throws(IOError) -> NamedThread {
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
    guard code == 0 else {
      body.release()
      throw IOError(
        .system(code), "start", path: "thread \(name)",
        detail: "raise the limit of tasks (TasksMax of the unit, or ulimit -u), or allow fewer connections")
    }
    return thread
  }

  /// Waits until the thread has ended.
  public func join() { pthread_join(handle, nil) }

  /// Instead of `join`: for a thread whose blocking call may never return, and that nobody can wait for.
  public func detach() { pthread_detach(handle) }

  /// Runs a blocking call on a thread of its own and suspends the caller until it is done. Throws what the
  /// call throws, and an `IOError` where there is no thread for it.
  public static func run<Value: Sendable>(
    _ name: String, _ work: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      do throws(IOError) {
        try tryStart(name) { continuation.resume(with: Result { try work() }) }.detach()
      } catch { continuation.resume(throwing: error) }
    }
  }
}
