import Glibc
import ReplIO
import ServiceLifecycle

/// Ends the process when an orderly end takes too long. Whatever runs then is safe to cut off at any point: a
/// pass is resumed or begun anew, settling is redone.
public enum ShutdownLimit {
  /// Below the five seconds that a stop may take.
  static let seconds = 4.0
  /// Where something must not be cut off: below the 20 seconds after which systemd kills (`TimeoutStopSec`).
  static let longSeconds = 15.0

  /// Call when the end begins.
  /// - Parameters:
  ///   - code: the exit code of a process that is ended.
  ///   - isUrgent: whether something runs that should not be cut off; it has longer.
  public static func begin(code: ExitCode = .success, isUrgent: @escaping @Sendable () -> Bool = { false }) {
    do throws(IOError) {
      try NamedThread.tryStart("shutdown-limit") {
        pause(seconds)
        let end = Deadline(seconds: longSeconds - seconds)
        while isUrgent(), !end.hasPassed { pause(0.1) }
        _exit(code.rawValue)
      }.detach()
    } catch {
      // Nobody would end it later.
      if !isUrgent() { _exit(code.rawValue) }
    }
  }

  private static func pause(_ seconds: Double) {
    _ = Monitor(false).wait(seconds: seconds) { $0 ? true : nil }
  }
}

/// Begins the limit the moment the daemon is told to end. The last in the list of a daemon's services: the
/// last one is told first, and the others only when it has ended, one after the other.
public struct ShutdownService: Service {
  private let begin: @Sendable () -> Void
  private let isUrgent: @Sendable () -> Bool

  /// `begin` runs first, and must not block: what must end at once is told here. While `isUrgent` says so the
  /// end may take longer.
  public init(
    begin: @escaping @Sendable () -> Void = {}, isUrgent: @escaping @Sendable () -> Bool = { false }
  ) {
    self.begin = begin
    self.isUrgent = isUrgent
  }

  /// Ends at shutdown.
  public func run() async throws {
    try await withGracefulShutdownHandler {
      try await gracefulShutdown()
    } onGracefulShutdown: { [begin, isUrgent] in
      ShutdownLimit.begin(isUrgent: isUrgent)
      begin()
    }
  }
}
