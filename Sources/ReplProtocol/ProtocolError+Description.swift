import ReplModel

extension ProtocolError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notABanner(let found):
      "the peer did not begin with a vmrepl banner but with \"\(found)\": check that the address and port "
        + "are those of the other vmrepl daemon"
    case .noCommonVersion(let sender, let receiver): Self.mismatch(sender, receiver)
    case .peer(let number, let text, _):
      "the peer ended the session with error \(number)"
        + " (\(ErrorNumber(rawValue: number)?.name ?? "unknown to this version")): \(text)"
    case .sameRole(let role):
      "both sides say that they are the \(role): one must be the source, one the target; check the direction"
    case .mandatoryFeature(let name):
      "the peer insists on the feature \"\(name)\", which this version does not have: upgrade this side"
    case .featureNotAgreed(let feature, let type):
      "\(type) needs the feature \(feature.rawValue), which the hellos did not agree on"
    case .wrongState(let type, let phase, let direction, let role):
      direction == .received
        ? "the peer sent \(type) in state \(phase), which a \(role.peer) must not: the connection is closed"
        : "\(type) must not be sent by a \(role) in state \(phase)"
    default: frameDescription
    }
  }

  private var frameDescription: String {
    switch self {
    case .truncated(let part, let found, let expected):
      "the connection ended inside \(part.name): \(found) of \(expected) bytes: truncated frame"
    case .unknownType(let type):
      "frame with unknown message type \(type), expected 1 to \(MessageType.allCases.count)"
    case .reserved(let field, let found): "frame with \(field) \(found), expected 0: the peer may be newer"
    case .payloadLength(let type, let found, let allowed):
      "\(type) with \(found) bytes, allowed are \(allowed.lowerBound) to \(allowed.upperBound)"
    case .sequence(let found, let expected):
      "frame with sequence \(found), expected \(expected): a frame was lost, repeated or reordered"
    case .json(let type, let detail): "\(type): not the expected JSON: \(detail)"
    case .nestedTooDeep(let type, let limit): "\(type): JSON nested deeper than \(limit)"
    case .value(let type, let field, let found, let expected):
      "\(type): \(field) is \(found), expected \(expected)"
    case .answerMismatch(let type, let field, let found, let expected):
      "\(type) is not the answer to the request: \(field) is \(found), expected \(expected)"
    case .batch(let fault): "batch: \(fault.text)"
    default: "error \(number.rawValue)"
    }
  }

  private static func mismatch(_ sender: Banner, _ receiver: Banner) -> String {
    let older = sender.maximumVersion < receiver.maximumVersion ? "sender" : "receiver"
    return "no common protocol version: sender \(sender.product) speaks \(sender.rangeText), receiver "
      + "\(receiver.product) speaks \(receiver.rangeText); upgrade the \(older) first"
  }
}

extension ProtocolError.Part {
  var name: String {
    switch self {
    case .banner: "the banner"
    case .header: "a frame header"
    case .payload(let type): "a \(type) frame"
    }
  }
}

extension ProtocolError.BatchFault {
  var text: String {
    switch self {
    case .foreignDisk(let index, let disks): "disk \(index), but the offer has \(disks)"
    case .unknownCodec(let codec): "unknown codec \(codec)"
    case .codecNotAgreed(let codec): "codec \(codec) was not agreed on in the hellos"
    case .runCount(let found, let limit): "\(found) runs, allowed are 1 to \(limit)"
    case .rawLength(let found, let limit): "raw length \(found), allowed are at most \(limit) bytes"
    case .tableLength(let found, let limit): "run table of \(found) bytes, allowed are 2 to \(limit)"
    case .runTable(let error): "run table: \(error.text)"
    case .dataLength(let found, let declared): "data runs of \(found) bytes, but raw length \(declared)"
    case .payloadLength(let found, let codec, let rawLength):
      "\(found) bytes of data through codec \(codec) cannot be \(rawLength) bytes"
    }
  }
}

extension RunTableError {
  fileprivate var text: String {
    switch self {
    case .truncated: "ends inside a run"
    case .emptyRun: "a run without pages"
    case .outOfRange: "a run outside the disk"
    case .trailingBytes: "bytes after the last run"
    }
  }
}
