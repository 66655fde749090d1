import Glibc

/// What a command says to the person who runs it.
public enum Terminal {
  /// Whether standard error is a terminal.
  public static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

  /// Writes to standard error, as it is.
  public static func complain(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Writes to standard output, as it is and at once.
  public static func say(_ text: String) { write(text, to: STDOUT_FILENO) }

  private static func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        bytes = bytes.dropFirst(count)
      } else if count < 0, errno != EINTR {
        // Nobody is left to hear it.
        return
      }
    }
  }
}
