import ReplIO
import ReplModel
import ReplProtocol
import ReplTransport
import Synchronization

/// A connection together with the state of its session: no message is sent or taken that the state does not
/// allow.
///
/// One thread sends and one receives; heartbeats are the connection's own affair.
final class Conversation: Sendable {
  let connection: FrameConnection
  let ending = SessionEnding()
  private let state: Mutex<SessionState>

  init(_ connection: FrameConnection, role: SessionRole) {
    self.connection = connection
    state = Mutex(SessionState(role: role))
  }

  var phase: SessionState.Phase { state.withLock { $0.phase } }

  /// The daemon is ending: tells the peer, and `cuts` the connection when that takes too long. Returns at
  /// once; whoever receives gets an error when the peer has left.
  func stop(cuts: Bool) {
    let cut: @Sendable () -> Void = { [connection] in connection.interrupt() }
    ending.begin(tell: { [self] in tell(.stopping) }, cut: cuts ? cut : nil)
  }

  /// What a failure of the session means: where this daemon is ending, what its end has caused is no fault.
  func meaning(of error: PassError) -> PassError {
    guard ending.isStopping else { return error }
    switch error {
    case .transport, .wire: return .stopping
    default: return error.remedy == .retryPass ? .stopping : error
    }
  }

  func agree(on features: Set<Feature>) { state.withLock { $0.agree(on: features) } }

  /// The target received a commit that crossed its `resend`.
  func ignoreVoidCommit() { state.withLock { $0.ignoreVoidCommit() } }

  @discardableResult
  func send<Message: ControlMessage>(_ message: Message) throws(PassError) -> UInt64 {
    let bytes: [UInt8]
    do throws(ProtocolError) { bytes = try message.encode() } catch { throw .wire(error) }
    return try send(Message.type, prefix: bytes)
  }

  /// After the own hello.
  func startHeartbeats() throws(PassError) {
    do throws(TransportError) { try connection.startHeartbeats() } catch { throw .transport(error) }
  }

  /// The target received the offer of a seed.
  func beginSeed() throws(PassError) {
    try check { (state: inout SessionState) throws(ProtocolError) in try state.beginSeed() }
  }

  /// Sends an offer and waits for the answer, which fits it when this returns.
  func offer(_ offer: Offer) throws(PassError) -> Accept {
    let bytes: [UInt8]
    do throws(ProtocolError) { bytes = try offer.encode() } catch { throw .wire(error) }
    try check { (state: inout SessionState) throws(ProtocolError) in
      var next = state
      try next.sending(.offer)
      if offer.purpose == .seed { try next.beginSeed() }
      state = next
    }
    try transmit(.offer, prefix: bytes, body: nil)
    let seconds = ProtocolTimeouts.seconds(in: .offered) ?? ProtocolTimeouts.idleSeconds
    let accept = try expect(Accept.self, seconds: seconds)
    do throws(ProtocolError) { try accept.validate(answering: offer) } catch { throw .wire(error) }
    return accept
  }

  /// Sends the commit unless a `resend` has arrived that it does not know of: false then, and nothing was
  /// sent.
  func send(commit: Commit) throws(PassError) -> Bool {
    let bytes: [UInt8]
    do throws(ProtocolError) { bytes = try commit.encode() } catch { throw .wire(error) }
    var isCurrent = false
    try check { (state: inout SessionState) throws(ProtocolError) in
      isCurrent = Int64(state.resends) == commit.resendsAnswered
      if isCurrent { try state.sending(.commit) }
    }
    if isCurrent { try transmit(.commit, prefix: bytes, body: nil) }
    return isCurrent
  }

  /// Sends a frame whose payload is `prefix` and then `body`, without copying the body.
  @discardableResult
  func send(
    _ type: MessageType, prefix: [UInt8], body: UnsafeRawBufferPointer? = nil
  ) throws(PassError) -> UInt64 {
    try check { (state: inout SessionState) throws(ProtocolError) in try state.sending(type) }
    return try transmit(type, prefix: prefix, body: body)
  }

  @discardableResult
  private func transmit(
    _ type: MessageType, prefix: [UInt8], body: UnsafeRawBufferPointer?
  ) throws(PassError) -> UInt64 {
    var result: Result<UInt64, TransportError>?
    prefix.withUnsafeBytes { prefix in
      do throws(TransportError) {
        let parts = body.map { [prefix, $0] } ?? [prefix]
        result = .success(try connection.send(type, parts))
      } catch { result = .failure(error) }
    }
    switch result! {
    case .success(let sequence): return sequence
    case .failure(let error): throw .transport(error)
    }
  }

  /// The next frame that is to be handled. A peer's error is thrown; a goodbye is a frame like any other.
  /// `deadline` holds whatever heartbeats come meanwhile, for each of which `onHeartbeat` is called.
  func receive(
    deadline: Deadline? = nil, onHeartbeat: () throws(PassError) -> Void = {}
  ) throws(PassError) -> Frame {
    var limit = deadline
    while true {
      let received: Frame?
      do throws(TransportError) {
        // Also where the caller names none: a state that must end soon must not be held open by heartbeats,
        // nor by what is ignored in it.
        limit = limit ?? state.withLock { $0.deadlineSeconds }.map { Deadline(seconds: $0) }
        received = try connection.receiveOrHeartbeat(
          idleSeconds: ProtocolTimeouts.idleSeconds, deadline: limit)
      } catch { throw .transport(error) }
      guard let frame = received else {
        try onHeartbeat()
        continue
      }
      var disposition = SessionState.Disposition.handle
      try check { (state: inout SessionState) throws(ProtocolError) in
        disposition = try state.received(frame.type)
      }
      guard case .handle = disposition else { continue }
      if frame.type == .error { throw .wire(try decode(ErrorMessage.self, frame).error) }
      return frame
    }
  }

  /// Waits for one kind of message; nothing else may come before it.
  func expect<Message: ControlMessage>(_ type: Message.Type, seconds: Double) throws(PassError) -> Message {
    try decode(type, try receive(deadline: Deadline(seconds: seconds)))
  }

  func decode<Message: ControlMessage>(_ type: Message.Type, _ frame: Frame) throws(PassError) -> Message {
    guard frame.type == Message.type else { throw unexpected(frame.type) }
    do throws(ProtocolError) { return try Message.decode(frame.payload) } catch { throw .wire(error) }
  }

  func unexpected(_ type: MessageType) -> PassError {
    .wire(.wrongState(type, phase, .received, state.withLock { $0.role }))
  }

  /// Tells the peer what went wrong, where the connection still can; the fault itself is thrown by the
  /// caller.
  func tell(_ error: PassError) {
    let message: ErrorMessage?
    switch error {
    case .wire(.peer): message = nil
    case .wire(let error): message = ErrorMessage(error)
    // Whose it is is nobody else's business.
    case .standby(.notYours(let vm, _, _)): message = ErrorMessage(.notYours, text: Self.foreign(vm))
    case .standby(let error): message = ErrorMessage(error.number, text: "\(error)")
    case .stopping: message = ErrorMessage(.shuttingDown, text: "\(error)", retryAfterSeconds: 5)
    case .transport(let error): message = self.message(about: error)
    case .timedOut: message = ErrorMessage(.timedOut, text: "\(error)")
    case .notSeeding: message = ErrorMessage(.notSeeding, text: "\(error)")
    case .refused(let number, let text, let seconds):
      message = ErrorMessage(number, text: text, retryAfterSeconds: seconds)
    case .proof(.notSpoken), .proof(.fuzzyView): message = ErrorMessage(.unsupported, text: "\(error)")
    case .source, .resent, .receiverChanged, .fuzzyInterrupted:
      message = ErrorMessage(.sourceFailed, text: "\(error)")
    case .digest, .io, .proof: message = ErrorMessage(.internalFault, text: "\(error)")
    }
    // The connection may be the very thing that failed: nobody is left to tell then.
    if let message { _ = try? send(message) }
  }

  /// What the peer did wrong, or did not do in time: a connection that broke can be told nothing.
  private func message(about error: TransportError) -> ErrorMessage? {
    switch error.code {
    case .frame: error.protocolError.map(ErrorMessage.init)
    // One way may be open still. A source's own is full of data, and telling would wait for that.
    case .idle where state.withLock({ $0.role }) == .target,
      .overdue where state.withLock({ $0.role }) == .target:
      ErrorMessage(.timedOut, text: error.detail)
    default: nil
    }
  }

  private static func foreign(_ vm: VMID) -> String {
    "\(vm): its standby at this receiver belongs to another peer: a VM has one sender; the receiver's log "
      + "names it"
  }

  private func check(_ body: (inout SessionState) throws(ProtocolError) -> Void) throws(PassError) {
    let failure = state.withLock { state -> ProtocolError? in
      do throws(ProtocolError) {
        try body(&state)
        return nil
      } catch { return error }
    }
    if let failure { throw .wire(failure) }
  }
}
