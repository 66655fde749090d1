/// The sixteen bytes before each payload.
public struct FrameHeader: Hashable, Sendable {
  /// Bytes of an encoded header.
  public static let byteCount = 16

  /// What the payload is.
  public let type: MessageType
  /// Bytes of payload; within the limits of the type.
  public let payloadLength: Int
  /// 0 for the first frame of a direction, one more for each after it.
  public let sequence: UInt64

  /// Throws when the length is outside the limits of the type: such a frame is not sent.
  public init(
    type: MessageType, payloadLength: Int, sequence: UInt64, limits: ProtocolLimits = .standard
  ) throws(ProtocolError) {
    let allowed = limits.payloadLengths(of: type)
    guard allowed.contains(payloadLength) else {
      throw .payloadLength(type, found: payloadLength, allowed: allowed)
    }
    self.type = type
    self.payloadLength = payloadLength
    self.sequence = sequence
  }

  /// Reads a header and checks it; the caller may then allocate `payloadLength` bytes.
  public init(
    decoding bytes: UnsafeRawBufferPointer, limits: ProtocolLimits = .standard
  ) throws(ProtocolError) {
    guard bytes.count >= Self.byteCount else {
      throw .truncated(.header, found: bytes.count, expected: Self.byteCount)
    }
    let length = LittleEndian.read(UInt32.self, bytes, at: 0)
    guard let type = MessageType(rawValue: bytes[4]) else { throw .unknownType(bytes[4]) }
    guard bytes[5] == 0 else { throw .reserved(field: "flags", found: UInt64(bytes[5])) }
    let reserved = LittleEndian.read(UInt16.self, bytes, at: 6)
    guard reserved == 0 else { throw .reserved(field: "reserved", found: UInt64(reserved)) }
    try self.init(
      type: type, payloadLength: Int(length), sequence: LittleEndian.read(UInt64.self, bytes, at: 8),
      limits: limits)
  }

  /// The sixteen bytes.
  public func encode() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.byteCount)
    LittleEndian.append(UInt32(payloadLength), to: &bytes)
    bytes.append(type.rawValue)
    bytes.append(0)
    LittleEndian.append(UInt16(0), to: &bytes)
    LittleEndian.append(sequence, to: &bytes)
    return bytes
  }
}
