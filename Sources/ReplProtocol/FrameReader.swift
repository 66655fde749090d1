/// One direction of frames as its reader sees it: the header checks and the exact sequence.
public struct FrameReader: Sendable {
  /// One frame, copied out of a stream.
  public struct Frame: Hashable, Sendable {
    public let header: FrameHeader
    /// As many bytes as the header says.
    public let payload: [UInt8]
  }

  public let limits: ProtocolLimits
  /// The only sequence that the next frame may have.
  public private(set) var nextSequence: UInt64

  /// A direction of a new connection begins at sequence 0.
  public init(limits: ProtocolLimits = .standard, nextSequence: UInt64 = 0) {
    self.limits = limits
    self.nextSequence = nextSequence
  }

  /// Reads the next header; only then may its payload be read. After an error the stream is useless.
  public mutating func header(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> FrameHeader {
    let header = try FrameHeader(decoding: bytes, limits: limits)
    guard header.sequence == nextSequence else {
      throw .sequence(found: header.sequence, expected: nextSequence)
    }
    // 2^64 frames cannot be reached; wrapping keeps even a forged counter from trapping.
    nextSequence &+= 1
    return header
  }

  /// Takes the next whole frame from the front of `bytes`; nil when it is not complete yet.
  public mutating func next(from bytes: inout ArraySlice<UInt8>) throws(ProtocolError) -> Frame? {
    guard bytes.count >= FrameHeader.byteCount else { return nil }
    var ahead = self
    let header = try Self.header(of: bytes, by: &ahead)
    guard bytes.count - FrameHeader.byteCount >= header.payloadLength else { return nil }
    let payload = bytes.dropFirst(FrameHeader.byteCount).prefix(header.payloadLength)
    bytes = bytes.dropFirst(FrameHeader.byteCount + header.payloadLength)
    self = ahead
    return Frame(header: header, payload: Array(payload))
  }

  /// The stream has ended: throws when `rest` holds the beginning of a frame.
  public func finish(rest: ArraySlice<UInt8>) throws(ProtocolError) {
    guard !rest.isEmpty else { return }
    guard rest.count >= FrameHeader.byteCount else {
      throw .truncated(.header, found: rest.count, expected: FrameHeader.byteCount)
    }
    var ahead = self
    let header = try Self.header(of: rest, by: &ahead)
    throw .truncated(
      .payload(header.type), found: rest.count - FrameHeader.byteCount, expected: header.payloadLength)
  }

  private static func header(
    of bytes: ArraySlice<UInt8>, by reader: inout FrameReader
  ) throws(ProtocolError) -> FrameHeader {
    let head = Array(bytes.prefix(FrameHeader.byteCount))
    return try head.withRawBytes { (raw) throws(ProtocolError) in try reader.header(raw) }
  }
}
