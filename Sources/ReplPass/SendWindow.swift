import ReplIO
import ReplModel
import ReplProtocol
import ReplSource

/// What is on its way to the receiver and not acknowledged, and what the receiver has said so far. The
/// sending thread waits here; the receiving thread reports here.
final class SendWindow: Sendable {
  /// Requests of one connection, and page ranges in all of them: far more than a link that works ever needs,
  /// and what is kept of them stays at a megabyte.
  static let resendLimit = 4096
  static let resendRangeLimit = 65_536

  private struct Sent {
    let sequence: UInt64
    let bytes: Int64
    let token: ResumeTracker.Token?
    let atNanoseconds: Int64
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
    /// When the last ack came; 0 before the first.
    var lastAckNanoseconds: Int64 = 0
    /// Those that are not answered, and what came of them in all.
    var resends: [(Resend, ResumeTracker.Token)] = []
    var resendCount = 0
    var resendRangeCount = 0
    var committed: Committed?
    /// The receiver has said its last word.
    var isFinished = false
    var failure: PassError?
    /// The receiving thread has come to its end.
    var hasReceivingEnded = false
  }

  private let state: Monitor<State>
  private let windowBytes: Int64
  private let tracker: ResumeTracker

  private let time: any TimeSource

  init(windowBytes: Int64, tracker: ResumeTracker, time: any TimeSource = SystemTime()) {
    self.windowBytes = windowBytes
    self.tracker = tracker
    self.time = time
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
    let now = time.monotonicNanoseconds()
    state.withLock { state in
      state.lastSent = sequence
      state.sent.append(Sent(sequence: sequence, bytes: bytes, token: token, atNanoseconds: now))
      state.unacknowledgedBytes += bytes
    }
  }

  /// An acknowledgement may overtake the sending thread, which notes a frame only after it is written.
  func acknowledge(_ ack: Ack) throws(PassError) {
    let now = time.monotonicNanoseconds()
    _ = state.wait(seconds: ProtocolTimeouts.idleSeconds) { state -> Bool? in
      (state.lastSent ?? 0) >= ack.sequence && state.lastSent != nil ? true : nil
    }
    let outcome = state.withLock { state -> Result<[ResumeTracker.Token], PassError> in
      let frames = state.lastSent.map { $0 + 1 } ?? 0
      do throws(ProtocolError) { try ack.validate(after: state.lastAck, sent: frames) } catch {
        return .failure(.wire(error))
      }
      state.lastAck = ack.sequence
      state.lastAckNanoseconds = now
      let done = state.sent.prefix { $0.sequence <= ack.sequence }
      state.unacknowledgedBytes -= done.reduce(0) { $0 + $1.bytes }
      let tokens = done.compactMap(\.token)
      state.sent.removeFirst(done.count)
      return .success(tokens)
    }
    for token in try outcome.get() { tracker.release(token) }
  }

  /// Throws when a frame has waited too long for its acknowledgement although the receiver lives. One that
  /// acknowledges others meanwhile gets on: the link is slow.
  func checkAge() throws(PassError) {
    let seconds = ProtocolTimeouts.unacknowledgedSeconds
    let now = time.monotonicNanoseconds()
    let isLate = state.withLock { state in
      guard let oldest = state.sent.first else { return false }
      let since = max(oldest.atNanoseconds, state.lastAckNanoseconds)
      return Double(now - since) / 1e9 >= seconds
    }
    if isLate { throw .timedOut("the receiver's acknowledgement", seconds: seconds) }
  }

  /// Refuses more requests on one connection than an honest receiver ever has: each of them makes a commit
  /// void, so that one that always has another would never let it end.
  func add(_ resend: Resend, token: ResumeTracker.Token) throws(PassError) {
    let (count, ranges) = state.withLock { state in
      state.resends.append((resend, token))
      state.resendCount += 1
      state.resendRangeCount += resend.pages.count
      return (state.resendCount, state.resendRangeCount)
    }
    guard count <= Self.resendLimit, ranges <= Self.resendRangeLimit else {
      throw .wire(
        .value(
          .resend, field: "resend", found: "request \(count), \(ranges) ranges in all",
          expected: "at most \(Self.resendLimit) and \(Self.resendRangeLimit): look at the receiver's memory")
      )
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

  func noteReceivingEnded() { state.withLock { $0.hasReceivingEnded = true } }

  /// Waits until the receiving thread has come to its end.
  func waitForReceivingEnd(seconds: Double) {
    _ = state.wait(seconds: seconds) { $0.hasReceivingEnded ? true : nil }
  }

  /// Why sending is to end.
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
