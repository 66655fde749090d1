import Glibc
import ReplIO
import Synchronization

/// A connected TCP socket: owns the descriptor and closes it when the last user lets go, so that no thread
/// ever polls a number that means another file by now.
public final class ConnectedSocket: Sendable {
  let descriptor: Int32
  private let interrupted = Atomic<Bool>(false)

  /// Takes the descriptor over and makes it non-blocking.
  public init(adopting descriptor: Int32) {
    self.descriptor = descriptor
    let flags = fcntl(descriptor, F_GETFL)
    if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
  }

  deinit { Glibc.close(descriptor) }

  /// Whether `interrupt` was called.
  public var isInterrupted: Bool { interrupted.load(ordering: .acquiring) }

  /// From any thread: ends the connection in both directions and wakes whoever waits on it. Final.
  public func interrupt() {
    interrupted.store(true, ordering: .releasing)
    shutdown(descriptor, Int32(SHUT_RDWR))
  }

  /// What a wait ended with.
  public enum Readiness: Sendable { case ready, timedOut }

  /// Waits for `events` (`POLLIN`, `POLLOUT`); errors and hang-ups count as ready, the next call finds out.
  public func wait(for events: Int32, deadline: Deadline) -> Readiness {
    var entry = pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0)
    while true {
      let count = poll(&entry, 1, deadline.remainingMilliseconds)
      if count > 0 { return .ready }
      // poll fails otherwise only for our own bugs and for want of kernel memory: the caller's next call
      // tells.
      if count < 0 && errno != EINTR { return .ready }
      if deadline.hasPassed { return .timedOut }
    }
  }

  /// Sends FIN, then throws away what still arrives until the peer's own end, a deadline or a limit:
  /// closing with unread bytes makes a reset, and a reset can destroy the last words on their way to the
  /// peer.
  func linger(seconds: Double, limitBytes: Int) {
    guard !isInterrupted, shutdown(descriptor, Int32(SHUT_WR)) == 0 else { return }
    let deadline = Deadline(seconds: seconds)
    var rest = limitBytes
    withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { buffer in
      while rest > 0, !isInterrupted, wait(for: POLLIN, deadline: deadline) == .ready {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 {
          rest -= count
        } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
          return
        }
      }
    }
  }
}
