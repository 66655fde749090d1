import Glibc

/// What this module needs from the process as a whole.
public enum TLSRuntime {
  /// Makes a broken connection an error (`EPIPE`) instead of the end of the process: OpenSSL writes to
  /// sockets with `write`, which raises SIGPIPE. A handler that the program set itself is left alone. Child
  /// processes inherit an ignored SIGPIPE; who starts one resets it there. Called by every `TLSContext` as
  /// well; calling it twice is harmless.
  public static func prepareProcess() {
    var current = sigaction()
    guard sigaction(SIGPIPE, nil, &current) == 0 else { return }
    // The function pointer is nil exactly when the action is SIG_DFL.
    if current.__sigaction_handler.sa_handler == nil { signal(SIGPIPE, SIG_IGN) }
  }
}
