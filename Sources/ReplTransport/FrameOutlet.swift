import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import Synchronization

/// The sending direction of a connection: numbers frames and writes them whole, one at a time, from any
/// thread.
final class FrameOutlet: Sendable {
  private struct State: ~Copyable {
    var nextSequence: UInt64 = 0
    /// What the peer's stream cannot continue after.
    var failure: TransportError?
    let staging = AlignedBuffer(byteCount: TransportLimits.stagingBytes)
    var stagedCount = 0
    var account: PaceAccount
  }

  private let session: TLSSession
  private let peer: String
  private let limits: ProtocolLimits
  private let stallSeconds: Double
  private let pace: (any SendPace)?
  private let state: Mutex<State>

  init(session: TLSSession, peer: String, options: TransportOptions) {
    self.session = session
    self.peer = peer
    limits = options.limits
    stallSeconds = options.sendStallSeconds
    pace = options.pace
    state = Mutex(State(account: PaceAccount(options.pace)))
  }

  /// From any thread: data waits for its turn no longer.
  func releasePace() { pace?.release() }

  /// The frame's sequence. After an error nothing more can be sent.
  func send(_ type: MessageType, _ parts: [UnsafeRawBufferPointer]) throws(TransportError) -> UInt64 {
    let byteCount = FrameHeader.byteCount + parts.reduce(0) { $0 + $1.count }
    // Before the lock: heartbeats and errors go on while data waits for its first turn.
    let granted = type == .batch || type == .file ? pace?.waitForTurn(byteCount) : nil
    return try state.withLock { (state) throws(TransportError) in
      state.account.begin(byteCount: byteCount, granted: granted)
      defer { state.account.end() }
      if let failure = state.failure { throw failure }
      let header = try self.header(type, parts, sequence: state.nextSequence)
      do throws(TLSError) {
        try write(header, parts, &state)
      } catch {
        let failure = TransportError(sending: error, peer: peer)
        state.failure = failure
        throw failure
      }
      state.nextSequence += 1
      return header.sequence
    }
  }

  /// Bytes before the first frame.
  func sendBanner(_ banner: Banner, deadline: Deadline) throws(TransportError) {
    do throws(TLSError) {
      try writeAll(banner.encode(), deadline: deadline)
    } catch {
      throw TransportError(sending: error, peer: peer)
    }
  }

  /// A frame over the limits is our own mistake: it is refused before a byte is out, and the connection
  /// lives.
  private func header(
    _ type: MessageType, _ parts: [UnsafeRawBufferPointer], sequence: UInt64
  ) throws(TransportError) -> FrameHeader {
    do throws(ProtocolError) {
      let length = parts.reduce(0) { $0 + $1.count }
      return try FrameHeader(type: type, payloadLength: length, sequence: sequence, limits: limits)
    } catch {
      throw TransportError(error, peer: peer)
    }
  }

  private func write(
    _ header: FrameHeader, _ parts: [UnsafeRawBufferPointer], _ state: inout State
  ) throws(TLSError) {
    state.stagedCount = 0
    try append(header, &state)
    for part in parts { try append(part, &state) }
    try flush(&state)
  }

  private func append(_ header: FrameHeader, _ state: inout State) throws(TLSError) {
    state.staging.bytes.copyBytes(from: header.encode())
    state.stagedCount = FrameHeader.byteCount
  }

  private func append(_ part: UnsafeRawBufferPointer, _ state: inout State) throws(TLSError) {
    var rest = part[...]
    while !rest.isEmpty {
      if state.stagedCount == 0, rest.count >= TransportLimits.stagingBytes {
        // Nothing is waiting before it: a large part goes out from where it is.
        return try writeSlices(UnsafeRawBufferPointer(rebasing: rest), &state)
      }
      let count = min(rest.count, TransportLimits.stagingBytes - state.stagedCount)
      let room = UnsafeMutableRawBufferPointer(rebasing: state.staging.bytes[state.stagedCount...])
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
      state.stagedCount += count
      rest = rest.dropFirst(count)
      if state.stagedCount == TransportLimits.stagingBytes { try flush(&state) }
    }
  }

  private func flush(_ state: inout State) throws(TLSError) {
    let staged = UnsafeRawBufferPointer(rebasing: state.staging.readable[..<state.stagedCount])
    state.stagedCount = 0
    try writeSlices(staged, &state)
  }

  /// Each slice has the whole stall deadline, which begins with its turn: neither a slow link nor a low limit
  /// is a dead peer.
  private func writeSlices(_ buffer: UnsafeRawBufferPointer, _ state: inout State) throws(TLSError) {
    var offset = 0
    while offset < buffer.count {
      let end = offset + state.account.slice(of: buffer.count - offset)
      let slice = UnsafeRawBufferPointer(rebasing: buffer[offset..<end])
      defer { if pace != nil { state.account.note(slice.count, total: session.wireBytesSent) } }
      try session.write(slice, deadline: Deadline(seconds: stallSeconds))
      offset = end
    }
  }

  private func writeAll(_ bytes: [UInt8], deadline: Deadline) throws(TLSError) {
    let result: Result<Void, TLSError> = bytes.withUnsafeBytes { buffer in
      do throws(TLSError) { return .success(try session.write(buffer, deadline: deadline)) } catch {
        return .failure(error)
      }
    }
    try result.get()
  }
}

extension TransportError {
  init(sending error: TLSError, peer: String) {
    let code: Code =
      switch error.code {
      case .timedOut: .sendTimedOut
      case .interrupted: .interrupted
      case .truncated, .connectionLost: .cut
      default: .tls
      }
    self.init(code, peer: peer, error.detail, tlsError: error)
  }
}
