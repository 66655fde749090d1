import Glibc
import ReplIO

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
