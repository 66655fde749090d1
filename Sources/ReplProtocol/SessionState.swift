/// Where a session is, at one side. Every message goes through it before it is sent and after it was
/// received; what the table does not allow is refused, and the state stays as it was.
public struct SessionState: Sendable, Hashable {
  /// The states of WireProtocol.md.
  public enum Phase: UInt8, Sendable, CaseIterable {
    case greeting, helloSent, helloReceived
    case ready, keyWanted, offered
    case streaming, nodesWanted, leavesWanted
    /// A session that copies added disks: as `offered` to `leavesWanted`, without files and commit.
    case seedOffered, seeding, seedNodesWanted, seedLeavesWanted
    case committing, committed, settled
    /// Both sides read all of their disks again; then only the target does; then it has answered.
    case proofReading, proving, proven
    /// The peer said goodbye; only our goodbye or error is left.
    case peerLeft
    /// We said goodbye or error; what still arrives crossed it and is ignored.
    case leaving
    case closed

    /// Between the hellos and the end.
    static let inPass: [Phase] = [
      .ready, .keyWanted, .offered, .streaming, .nodesWanted, .leavesWanted, .seedOffered, .seeding,
      .seedNodesWanted, .seedLeavesWanted, .committing, .committed, .settled, .proofReading, .proving,
      .proven,
    ]
  }

  /// Which way a message goes, seen from this side.
  public enum Direction: Sendable, CaseIterable {
    case sending, received
  }

  /// What to do with a message that was received and allowed.
  public enum Disposition: Sendable {
    case handle
    /// It crossed our goodbye or error.
    case ignore
  }

  /// Which side this is.
  public let role: SessionRole
  /// Where the session is.
  public private(set) var phase: Phase = .greeting
  /// What the hellos agreed on; empty before.
  public private(set) var features: Set<Feature> = []
  /// `resend` messages that went over this session: what a target sent, or a source received.
  public private(set) var resends: Int64 = 0

  private var isSeed = false

  public init(role: SessionRole) { self.role = role }

  /// How long the session may stay as it is; nil where only the idle and acknowledgement deadlines hold.
  public var deadlineSeconds: Double? {
    let isEnding = phase == .leaving || phase == .peerLeft
    // What this side waits for is its own reading; whether the peer lives its heartbeats tell.
    if (phase == .proofReading && role == .source) || (phase == .proving && role == .target) { return nil }
    return isSeed && isEnding ? ProtocolTimeouts.seedGoodbyeSeconds : ProtocolTimeouts.seconds(in: phase)
  }

  /// To be called with the agreement of the hellos, before any message that needs a feature.
  public mutating func agree(on features: Set<Feature>) { self.features = features }

  /// A message has arrived: throws when this state does not allow it.
  @discardableResult
  public mutating func received(_ type: MessageType) throws(ProtocolError) -> Disposition {
    try step(.received, type)
    return phase == .leaving ? .ignore : .handle
  }

  /// A message is about to be sent: throws when this state does not allow it.
  public mutating func sending(_ type: MessageType) throws(ProtocolError) { try step(.sending, type) }

  /// The offer that was just sent or received is one of a seed: the session goes on without files and commit.
  /// Throws when the hellos did not agree on that.
  public mutating func beginSeed() throws(ProtocolError) {
    precondition(phase == .offered, "only after an offer")
    guard features.contains(.seed) else { throw .featureNotAgreed(.seed, .offer) }
    (phase, isSeed) = (.seedOffered, true)
  }

  /// The target ignores the commit that it has just received, because `Commit.isVoid` says that it crossed a
  /// `resend`.
  public mutating func ignoreVoidCommit() {
    precondition(role == .target && phase == .committing, "only a target that has received a commit")
    phase = .streaming
  }

  /// The table: what follows, or nil when the message is refused. Features are not looked at.
  public static func next(
    role: SessionRole, phase: Phase, direction: Direction, message: MessageType
  ) -> Phase? {
    SessionTable.next(role, phase, direction, message)
  }

  private mutating func step(_ direction: Direction, _ type: MessageType) throws(ProtocolError) {
    guard let next = SessionTable.next(role, phase, direction, type) else {
      throw .wrongState(type, phase, direction, role)
    }
    if let feature = type.requiredFeature, !features.contains(feature) {
      throw .featureNotAgreed(feature, type)
    }
    if type == .resend { resends += 1 }
    phase = next
  }
}
