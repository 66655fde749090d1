import ReplModel

/// A rule of WireProtocol.md that was broken, by the peer or (before sending) by this side; or the peer's own
/// error.
public enum ProtocolError: ActionableError, Hashable {
  /// Where the bytes ended too early.
  public enum Part: Hashable, Sendable {
    case banner, header
    case payload(MessageType)
  }

  /// What is wrong with a batch.
  public enum BatchFault: Hashable, Sendable {
    case foreignDisk(index: Int, disks: Int)
    case unknownCodec(UInt8)
    /// A known codec that the hellos did not agree on.
    case codecNotAgreed(UInt8)
    case runCount(found: Int, limit: Int)
    case rawLength(found: Int, limit: Int)
    /// The table does not fit into the payload or its limit.
    case tableLength(found: Int, limit: Int)
    case runTable(RunTableError)
    /// The data runs hold another number of bytes than the raw length says.
    case dataLength(found: Int64, declared: Int)
    /// The bytes after the table cannot be the raw length through the codec.
    case payloadLength(found: Int, codec: UInt8, rawLength: Int)
  }

  /// The first line is not a banner; `found` is printable.
  case notABanner(found: String)
  case noCommonVersion(sender: Banner, receiver: Banner)
  case truncated(Part, found: Int, expected: Int)
  case unknownType(UInt8)
  case reserved(field: String, found: UInt64)
  case payloadLength(MessageType, found: Int, allowed: ClosedRange<Int>)
  case sequence(found: UInt64, expected: UInt64)
  /// Not the JSON that the message must be; `detail` is printable.
  case json(MessageType, detail: String)
  case nestedTooDeep(MessageType, limit: Int)
  /// A field with a value that it must not have; `found` is printable.
  case value(MessageType, field: String, found: String, expected: String)
  case batch(BatchFault)
  /// Nodes or leaves that were not asked for.
  case answerMismatch(MessageType, field: String, found: UInt64, expected: UInt64)
  case wrongState(MessageType, SessionState.Phase, SessionState.Direction, SessionRole)
  case featureNotAgreed(Feature, MessageType)
  case sameRole(SessionRole)
  case mandatoryFeature(String)
  /// The peer ended the session with an error; `text` is printable.
  case peer(number: UInt16, text: String, retryAfterSeconds: Int?)

  /// What to tell the peer when this side found the fault.
  public var number: ErrorNumber {
    switch self {
    case .notABanner, .truncated, .unknownType, .reserved, .sequence, .json, .value, .batch, .answerMismatch,
      .sameRole:
      .badFrame
    case .noCommonVersion: .versionMismatch
    case .payloadLength, .nestedTooDeep: .limit
    case .wrongState: .wrongState
    case .featureNotAgreed, .mandatoryFeature: .unsupported
    case .peer(let number, _, _): ErrorNumber(rawValue: number) ?? .internalFault
    }
  }

  /// What this side does with its pass.
  public var remedy: Remedy {
    switch self {
    // A cut connection, not a fault of the peer.
    case .truncated: .retryPass
    case .peer(let number, _, _): ErrorNumber(rawValue: number)?.remedy ?? .abandonPass
    default: number.remedy
    }
  }
}
