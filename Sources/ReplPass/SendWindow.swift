import ReplIO
import ReplModel
import ReplProtocol
import ReplSource

/// What is on its way to the receiver and not acknowledged, and what the receiver has said so far. The
/// sending thread waits here; the receiving thread reports here.
final class SendWindow: Sendable {
  private struct Sent {
    let sequence: UInt64
    let bytes: Int64
    let token: ResumeTracker.Token?
  }

  /// What the sending thread is woken for.
  enum Answer {
    case committed(Committed)
    case settled
    case resend
    case failed(PassError)
  }

  private struct State {
    var sent: [Sent] = []
    var unacknowledgedBytes: Int64 = 0
    var lastAck: UInt64?
    var resends: [(Resend, ResumeTracker.Token)] = []
    var committed: Committed?
    var isSettled = false
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

  /// `token` is released when the frame is acknowledged.
  func noteSent(_ sequence: UInt64, bytes: Int64, token: ResumeTracker.Token?) {
    state.withLock { state in
      state.sent.append(Sent(sequence: sequence, bytes: bytes, token: token))
      state.unacknowledgedBytes += bytes
    }
  }

  func acknowledge(_ ack: Ack, sentFrames: UInt64) throws(PassError) {
    let outcome = state.withLock { state -> Result<[ResumeTracker.Token], PassError> in
      do throws(ProtocolError) { try ack.validate(after: state.lastAck, sent: sentFrames) } catch {
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

  func add(_ resend: Resend, token: ResumeTracker.Token) {
    state.withLock { $0.resends.append((resend, token)) }
  }

  func note(_ committed: Committed) { state.withLock { $0.committed = committed } }
  func noteSettled() { state.withLock { $0.isSettled = true } }
  func fail(_ error: PassError) { state.withLock { if $0.failure == nil { $0.failure = error } } }

  /// Waits until the receiving thread has come to its end. False when it has not.
  func waitForFailure(seconds: Double) -> Bool {
    state.wait(seconds: seconds) { $0.failure == nil ? nil : true } ?? false
  }

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

  /// Waits until the standby disk is at the point. False when the receiver did not say so: the point is
  /// committed all the same.
  func waitForSettled() -> Bool {
    let seconds = ProtocolTimeouts.seconds(in: .committed) ?? ProtocolTimeouts.idleSeconds
    return state.wait(seconds: seconds) { state -> Bool? in
      if state.isSettled { return true }
      return state.failure == nil ? nil : false
    } ?? false
  }
}
