import ReplModel

/// The payload of `nodes` and `leaves`: a header of sixteen bytes, then hashes or digests.
public struct TreeAnswer: Hashable, Sendable {
  /// Bytes before the body.
  public static let headerByteCount = 16

  /// Disk index.
  public let disk: Int
  /// 0 for leaves.
  public let level: Int
  /// The first node or leaf.
  public let first: Int64
  /// Nodes or leaves in the body.
  public let count: Int

  /// The answer's header to a request that was validated; the body follows as a part of its own.
  public init(answering request: NodesRequest) {
    self.init(disk: request.disk, level: request.level, first: request.first, count: request.count)
  }

  /// The answer's header to a request that was validated; the body follows as a part of its own.
  public init(answering request: LeavesRequest) {
    self.init(disk: request.disk, level: 0, first: request.first, count: request.count)
  }

  init(disk: Int, level: Int, first: Int64, count: Int) {
    self.disk = disk
    self.level = level
    self.first = first
    self.count = count
  }

  /// Bytes of body that belong to this header.
  public var bodyByteCount: Int { count * (level == 0 ? LeavesRequest.leafByteCount : Hash256.byteCount) }

  /// The sixteen bytes before the body.
  public func encodeHeader() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.headerByteCount)
    LittleEndian.append(UInt16(disk), to: &bytes)
    bytes.append(UInt8(level))
    bytes.append(0)
    LittleEndian.append(UInt64(first), to: &bytes)
    LittleEndian.append(UInt32(count), to: &bytes)
    return bytes
  }

  /// The whole `nodes` payload.
  public static func encode(
    nodes: [Hash256], answering request: NodesRequest
  ) throws(ProtocolError) -> [UInt8] {
    let answer = TreeAnswer(answering: request)
    guard nodes.count == request.count else {
      throw mismatch(.nodes, "count", UInt64(nodes.count), UInt64(max(0, request.count)))
    }
    return nodes.reduce(into: answer.encodeHeader()) { $0.append(contentsOf: $1.bytes) }
  }

  /// The hashes of a `nodes` payload that answers `request`.
  public static func decodeNodes(
    _ payload: UnsafeRawBufferPointer, answering request: NodesRequest
  ) throws(ProtocolError) -> [Hash256] {
    let body = try body(payload, .nodes, expected: TreeAnswer(answering: request))
    var nodes: [Hash256] = []
    nodes.reserveCapacity(request.count)
    for start in stride(from: 0, to: body.count, by: Hash256.byteCount) {
      guard let hash = Hash256(bytes: Array(body[start..<(start + Hash256.byteCount)])) else { break }
      nodes.append(hash)
    }
    return nodes
  }

  /// The bytes of a `leaves` payload that answers `request`: 4096 a leaf, inside `payload`.
  public static func decodeLeaves(
    _ payload: UnsafeRawBufferPointer, answering request: LeavesRequest
  ) throws(ProtocolError) -> UnsafeRawBufferPointer {
    try body(payload, .leaves, expected: TreeAnswer(answering: request))
  }

  private static func body(
    _ payload: UnsafeRawBufferPointer, _ type: MessageType, expected: TreeAnswer
  ) throws(ProtocolError) -> UnsafeRawBufferPointer {
    let allowed = ProtocolLimits.standard.payloadLengths(of: type)
    guard allowed.contains(payload.count) else {
      throw .payloadLength(type, found: payload.count, allowed: allowed)
    }
    guard payload[3] == 0 else { throw .reserved(field: "\(type) reserved", found: UInt64(payload[3])) }
    let fields: [(name: String, found: UInt64, expected: UInt64)] = [
      ("disk", UInt64(LittleEndian.read(UInt16.self, payload, at: 0)), UInt64(expected.disk)),
      ("level", UInt64(payload[2]), UInt64(expected.level)),
      ("first", LittleEndian.read(UInt64.self, payload, at: 4), UInt64(expected.first)),
      ("count", UInt64(LittleEndian.read(UInt32.self, payload, at: 12)), UInt64(expected.count)),
      ("body", UInt64(payload.count - headerByteCount), UInt64(expected.bodyByteCount)),
    ]
    for field in fields where field.found != field.expected {
      throw mismatch(type, field.name, field.found, field.expected)
    }
    return UnsafeRawBufferPointer(rebasing: payload[headerByteCount...])
  }

  private static func mismatch(
    _ type: MessageType, _ field: String, _ found: UInt64, _ expected: UInt64
  ) -> ProtocolError {
    .answerMismatch(type, field: field, found: found, expected: expected)
  }
}
