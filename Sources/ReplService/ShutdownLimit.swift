import Glibc
import ReplIO
import ServiceLifecycle

/// Ends the process when an orderly end takes too long. Whatever runs then is safe to cut off at any point: a
/// pass is resumed or begun anew, settling is redone.
public enum ShutdownLimit {
  /// Below the five seconds that a stop may take.
  static let seconds: UInt32 = 4

  /// Call when the end begins.
  public static func begin() {
    _ = NamedThread.start("shutdown-limit") {
      _ = Monitor(false).wait(seconds: Double(seconds)) { $0 ? true : nil }
      _exit(0)
    }
  }
}

/// Begins the limit the moment the daemon is told to end. The last in the list of a daemon's services: the
/// last one is told first, and the others only when it has ended, one after the other.
public struct ShutdownService: Service {
  private let begin: @Sendable () -> Void

  /// `begin` runs first, and must not block: what must end at once is told here.
  public init(begin: @escaping @Sendable () -> Void = {}) { self.begin = begin }

  /// Ends at shutdown.
  public func run() async throws {
    try await withGracefulShutdownHandler {
      try await gracefulShutdown()
    } onGracefulShutdown: { [begin] in
      ShutdownLimit.begin()
      begin()
    }
  }
}
