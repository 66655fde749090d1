import ReplProtocol

/// One frame that was received and whose header was checked.
public struct Frame {
  /// What the payload is.
  public let type: MessageType
  /// Its number in its direction, heartbeats counted.
  public let sequence: UInt64
  /// The connection's own buffer, not copied: valid until the next `receive` on it. Who needs the bytes for
  /// longer, or on another thread, copies them.
  public let payload: UnsafeRawBufferPointer

  /// A copy that stays.
  public var payloadBytes: [UInt8] { Array(payload) }
}
