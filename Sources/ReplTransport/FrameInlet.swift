import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import Synchronization

/// The receiving direction of a connection. One thread at a time.
final class FrameInlet: @unchecked Sendable {
  // SAFETY: `reader`, `buffer` and `failure` are used only between setting and clearing `isBusy`; who finds
  // it set has broken the rule of one thread at a time, and the program ends.
  private var reader: FrameReader
  private var buffer = AlignedBuffer(byteCount: TransportLimits.firstBufferBytes)
  /// The first error: where in a frame the stream stands is not known after it.
  private var failure: TransportError?
  private let isBusy = Atomic<Bool>(false)
  /// Since when the receiving thread waits for a byte, monotonic nanoseconds; 0 while it does not.
  private let waitingSince = Atomic<Int64>(0)

  private let session: TLSSession
  private let peer: String

  init(session: TLSSession, peer: String, options: TransportOptions) {
    self.session = session
    self.peer = peer
    reader = FrameReader(limits: options.limits)
  }

  /// How long the receiving thread has been waiting without a byte; nil while nobody waits. From any thread.
  var silentSeconds: Double? {
    let since = waitingSince.load(ordering: .relaxed)
    return since == 0 ? nil : Double(SystemTime().monotonicNanoseconds() - since) / 1e9
  }

  /// The next frame that is not a heartbeat.
  func receive(idleSeconds: Double, deadline: Deadline?) throws(TransportError) -> Frame {
    while true {
      if let frame = try receiveOrHeartbeat(idleSeconds: idleSeconds, deadline: deadline) { return frame }
    }
  }

  /// The next frame; nil when it is a heartbeat.
  func receiveOrHeartbeat(idleSeconds: Double, deadline: Deadline?) throws(TransportError) -> Frame? {
    let wasBusy = isBusy.exchange(true, ordering: .acquiring)
    precondition(!wasBusy, "two threads receive on one connection")
    defer { isBusy.store(false, ordering: .releasing) }
    if let failure { throw failure }
    do throws(TransportError) {
      let frame = try receiveOne(idleSeconds: idleSeconds, deadline: deadline)
      if frame.type != .heartbeat { return frame }
      if let deadline, deadline.hasPassed { throw overdue() }
      return nil
    } catch {
      failure = error
      throw error
    }
  }

  private func receiveOne(idleSeconds: Double, deadline: Deadline?) throws(TransportError) -> Frame {
    let head = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<FrameHeader.byteCount])
    let wait = Wait(idleSeconds: idleSeconds, deadline: deadline)
    try fill(head, of: .header, wait)
    let header: FrameHeader
    do throws(ProtocolError) {
      header = try reader.header(UnsafeRawBufferPointer(head))
    } catch {
      throw TransportError(error, peer: peer)
    }
    grow(to: header.payloadLength)
    let payload = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<header.payloadLength])
    try fill(payload, of: .payload(header.type), wait)
    return Frame(type: header.type, sequence: header.sequence, payload: UnsafeRawBufferPointer(payload))
  }

  /// The length was checked against the limits of its type before.
  private func grow(to count: Int) {
    guard count > buffer.bytes.count else { return }
    var size = buffer.bytes.count
    while size < count { size *= 2 }
    buffer = AlignedBuffer(byteCount: size)
  }

  private struct Wait {
    let idleSeconds: Double
    let deadline: Deadline?

    /// Every byte that comes starts the idle time anew.
    var next: Deadline {
      guard let deadline else { return Deadline(seconds: idleSeconds) }
      return Deadline(seconds: min(idleSeconds, Double(deadline.remainingMilliseconds) / 1000))
    }
  }

  private func fill(
    _ target: UnsafeMutableRawBufferPointer, of part: ProtocolError.Part, _ wait: Wait
  ) throws(TransportError) {
    var done = 0
    defer { waitingSince.store(0, ordering: .relaxed) }
    while done < target.count {
      let count: Int
      waitingSince.store(SystemTime().monotonicNanoseconds(), ordering: .relaxed)
      do throws(TLSError) {
        count = try session.read(
          into: UnsafeMutableRawBufferPointer(rebasing: target[done...]), deadline: wait.next)
      } catch {
        throw meaning(of: error, part, done, target.count, wait)
      }
      guard count > 0 else { throw ended(part, done, target.count) }
      done += count
    }
  }

  /// The peer's farewell: fine between two frames, never inside one.
  private func ended(_ part: ProtocolError.Part, _ found: Int, _ expected: Int) -> TransportError {
    if part == .header, found == 0 {
      return TransportError(.closedByPeer, peer: peer, "the peer closed the connection")
    }
    return TransportError(.truncated(part, found: found, expected: expected), peer: peer)
  }

  private func meaning(
    of error: TLSError, _ part: ProtocolError.Part, _ found: Int, _ expected: Int, _ wait: Wait
  ) -> TransportError {
    switch error.code {
    case .truncated, .connectionLost:
      let isBetweenFrames = part == .header && found == 0
      if !isBetweenFrames { return ended(part, found, expected) }
      return TransportError(.cut, peer: peer, error.detail, tlsError: error)
    case .timedOut:
      if let deadline = wait.deadline, deadline.hasPassed { return overdue() }
      return TransportError(
        .idle, peer: peer,
        "nothing was received for \(wait.idleSeconds) s: the peer or the network is down "
          + "(if small packets pass and large ones do not, check the MTU)")
    case .interrupted: return TransportError(.interrupted, peer: peer, error.detail, tlsError: error)
    default: return TransportError(.tls, peer: peer, error.detail, tlsError: error)
    }
  }

  private func overdue() -> TransportError {
    TransportError(.overdue, peer: peer, "the peer did not send in time what was due")
  }

  /// The line before the first frame, read byte by byte: nothing that follows it may be taken.
  func receiveBanner(deadline: Deadline) throws(TransportError) -> Banner {
    var count = 0
    let wait = Wait(idleSeconds: Double(deadline.remainingMilliseconds) / 1000, deadline: deadline)
    while true {
      let next = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[count..<(count + 1)])
      do throws(TransportError) {
        try fill(next, of: .banner, wait)
      } catch  where error.code == .truncatedFrame {
        throw TransportError(.truncated(.banner, found: count, expected: Banner.maximumByteCount), peer: peer)
      }
      count += 1
      do throws(ProtocolError) {
        let soFar = UnsafeRawBufferPointer(rebasing: buffer.readable[..<count])
        if let (banner, _) = try Banner.parse(prefix: soFar) { return banner }
      } catch {
        throw TransportError(error, peer: peer)
      }
    }
  }
}
