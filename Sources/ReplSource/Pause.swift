import Glibc

/// A wait for what gives no sign when it is there: another process, a host, the kernel's tick.
enum Pause {
  /// Blocks; for threads of our own.
  static func milliseconds(_ count: Int32) { _ = poll(nil, 0, count) }
}
