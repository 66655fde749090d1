/// What a frame carries. The numbers are fixed: they stand on the wire.
public enum MessageType: UInt8, Sendable, CaseIterable {
  case hello = 1
  case keyRequest = 2
  case key = 3
  case offer = 4
  case accept = 5
  case nodesRequest = 6
  case nodes = 7
  case leavesRequest = 8
  case leaves = 9
  case batch = 10
  case file = 11
  case ack = 12
  case resend = 13
  case commit = 14
  case committed = 15
  case settled = 16
  case heartbeat = 17
  case error = 18
  case goodbye = 19
  case reading = 20
  case proof = 21
  case statement = 22

  /// The feature that both hellos must name before this message may be used.
  public var requiredFeature: Feature? {
    switch self {
    case .resend: .resend
    case .nodesRequest, .nodes, .leavesRequest, .leaves: .tree
    case .reading, .proof, .statement: .proof
    default: nil
    }
  }
}

/// The side of a pass: the source holds the newer data, whoever dialled.
public enum SessionRole: String, Sendable, Codable, CaseIterable {
  case source, target

  /// The role of the other side.
  public var peer: SessionRole { self == .source ? .target : .source }
}

/// What this version can do beyond the basic messages. Names that are not here are ignored unless they begin
/// with `!`.
public enum Feature: String, Sendable, CaseIterable {
  /// Pages that arrived damaged are asked for again (`resend`).
  case resend
  /// Digest maps are compared level by level (`nodesRequest` to `leaves`).
  case tree
  /// A disk that was added to a VM is copied in sessions of its own (`Offer.Purpose.seed`).
  case seed
  /// After the pass both sides read everything again and sign what they found (`Offer.wantsProof`).
  case proof
  /// The target acknowledges when a heartbeat comes, too: what was sent last does not wait for what follows.
  case promptAck = "prompt-ack"
}
