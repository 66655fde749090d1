import ReplIO
import ReplModel
import ReplProtocol
import ReplSource

/// What is on its way to the receiver and not acknowledged, and what the receiver has said so far. The
/// sending thread waits here; the receiving thread reports here.
final class SendWindow: Sendable {
  private static let resendLimit = 4096

  private struct Sent {
    let sequence: UInt64
    let bytes: Int64
    let token: ResumeTracker.Token?
  }

  /// What the sending thread is woken for.
  enum Answer {
    case committed(Committed)
    case resend
    case failed(PassError)
  }

  private struct State {
    var sent: [Sent] = []
    var unacknowledgedBytes: Int64 = 0
    var lastAck: UInt64?
    var lastSent: UInt64?
    var resends: [(Resend, ResumeTracker.Token)] = []
    var committed: Committed?
    /// The receiver has said its last word.
    var isFinished = false
    var failure: PassError?
  }

  private let state: Monitor<State>
  private let windowBytes: Int64
  private let tracker: ResumeTracker

  init(windowBytes: Int64, tracker: ResumeTracker) {
    self.windowBytes = windowBytes
    self.tracker = tracker
    state = Monitor(State())
  }

  /// Waits until `bytes` more may be sent. One frame always may, however small the window.
  func waitForRoom(_ bytes: Int64) throws(PassError) {
    let seconds = ProtocolTimeouts.unacknowledgedSeconds
    let limit = windowBytes
    let answer = state.wait(seconds: seconds) { state -> Result<Void, PassError>? in
      if let failure = state.failure { return .failure(failure) }
      let fits = state.unacknowledgedBytes == 0 || state.unacknowledgedBytes + bytes <= limit
      return fits ? .success(()) : nil
    }
    guard let answer else { throw .timedOut("the receiver's acknowledgement", seconds: seconds) }
    try answer.get()
  }

  var unacknowledgedBytes: Int64 { state.withLock { $0.unacknowledgedBytes } }

  /// `token` is released when the frame is acknowledged.
  func noteSent(_ sequence: UInt64, bytes: Int64, token: ResumeTracker.Token?) {
    state.withLock { state in
      state.lastSent = sequence
      state.sent.append(Sent(sequence: sequence, bytes: bytes, token: token))
      state.unacknowledgedBytes += bytes
    }
  }

  /// An acknowledgement may overtake the sending thread, which notes a frame only after it is written.
  func acknowledge(_ ack: Ack) throws(PassError) {
    _ = state.wait(seconds: ProtocolTimeouts.idleSeconds) { state -> Bool? in
      (state.lastSent ?? 0) >= ack.sequence && state.lastSent != nil ? true : nil
    }
    let outcome = state.withLock { state -> Result<[ResumeTracker.Token], PassError> in
      let frames = state.lastSent.map { $0 + 1 } ?? 0
      do throws(ProtocolError) { try ack.validate(after: state.lastAck, sent: frames) } catch {
        return .failure(.wire(error))
      }
      state.lastAck = ack.sequence
      let done = state.sent.prefix { $0.sequence <= ack.sequence }
      state.unacknowledgedBytes -= done.reduce(0) { $0 + $1.bytes }
      let tokens = done.compactMap(\.token)
      state.sent.removeFirst(done.count)
      return .success(tokens)
    }
    for token in try outcome.get() { tracker.release(token) }
  }

  /// Refuses more requests than an honest receiver ever has.
  func add(_ resend: Resend, token: ResumeTracker.Token) throws(PassError) {
    let isTooMuch = state.withLock { state in
      state.resends.append((resend, token))
      return state.resends.count > Self.resendLimit
    }
    if isTooMuch {
      throw .wire(
        .value(.resend, field: "resend", found: "over \(Self.resendLimit)", expected: "a link that works"))
    }
  }

  /// Waits until a request that the session has counted is here.
  func waitForResend() throws(PassError) {
    let seconds = ProtocolTimeouts.idleSeconds
    let answer = state.wait(seconds: seconds) { state -> Result<Void, PassError>? in
      if let failure = state.failure { return .failure(failure) }
      return state.resends.isEmpty ? nil : .success(())
    }
    guard let answer else { throw .timedOut("a request for pages", seconds: seconds) }
    try answer.get()
  }

  func note(_ committed: Committed) { state.withLock { $0.committed = committed } }
  func noteFinished() { state.withLock { $0.isFinished = true } }
  func fail(_ error: PassError) { state.withLock { if $0.failure == nil { $0.failure = error } } }

  /// Waits until the receiving thread has come to its end. False when it has not.
  func waitForFailure(seconds: Double) -> Bool {
    state.wait(seconds: seconds) { $0.failure == nil ? nil : true } ?? false
  }

  /// Why the receiving thread ended.
  var failure: PassError? { state.withLock { $0.failure } }

  /// What the receiver said when it ended the session: the better reason than that the connection broke.
  var peerError: PassError? {
    state.withLock { state in
      if case .wire(.peer)? = state.failure { return state.failure }
      return nil
    }
  }

  /// The receiver's requests so far; taken once.
  func takeResends() -> [(Resend, ResumeTracker.Token)] {
    state.withLock { state in
      defer { state.resends = [] }
      return state.resends
    }
  }

  /// Waits for the answer to a commit.
  func waitForCommit() throws(PassError) -> Answer {
    let seconds = ProtocolTimeouts.seconds(in: .committing) ?? ProtocolTimeouts.idleSeconds
    let answer = state.wait(seconds: seconds) { state -> Answer? in
      if let committed = state.committed { return .committed(committed) }
      if let failure = state.failure { return .failed(failure) }
      return state.resends.isEmpty ? nil : .resend
    }
    guard let answer else { throw .timedOut("the receiver's commit", seconds: seconds) }
    return answer
  }

  /// Waits for the receiver's last word: that the standby disk is at the point, or that a seed is durable.
  /// False when it did not come.
  func waitForFinish(seconds: Double) -> Bool {
    state.wait(seconds: seconds) { state -> Bool? in
      if state.isFinished { return true }
      return state.failure == nil ? nil : false
    } ?? false
  }

  /// The receiver's goodbye to a seed covers all that was sent.
  func acknowledgeAll() {
    let tokens = state.withLock { state in
      defer { state.sent = [] }
      return state.sent.compactMap(\.token)
    }
    for token in tokens { tracker.release(token) }
  }
}
