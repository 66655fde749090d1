import ReplModel

/// The source has lost its digest key and asks for the copy that the target holds.
public struct KeyRequest: ControlMessage, Hashable {
  public static let type = MessageType.keyRequest
  public init() {}
  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {}
}

/// A digest key, from the target as the answer to `KeyRequest`, from the source for safe keeping.
///
/// Printing, logging or mirroring it never shows the secret.
public struct KeyMessage: ControlMessage, Hashable {
  public static let type = MessageType.key
  /// A Poly1305 key.
  public static let keyByteCount = 32

  /// One key with its ID.
  public struct Key: Codable, Hashable, Sendable {
    /// Names the key without revealing it.
    public let id: KeyID
    /// 32 bytes; secret.
    public let bytes: [UInt8]

    public init(id: KeyID, bytes: [UInt8]) {
      self.id = id
      self.bytes = bytes
    }

    enum CodingKeys: String, CodingKey {
      case id, crc32c
      case bytes = "hex"
    }

    /// Over the ID's text and the bytes: a key that was damaged on its way, in memory at either end, fits no
    /// map, and nothing else would show it.
    private var checksum: String {
      let crc = CRC32C.checksum(Array("\(id)".utf8) + bytes)
      return HexText.encode((0..<4).map { UInt8(truncatingIfNeeded: crc >> (24 - 8 * UInt32($0))) })
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      id = try container.decode(KeyID.self, forKey: .id)
      let text = try container.decode(String.self, forKey: .bytes)
      guard text.utf8.count == 2 * KeyMessage.keyByteCount, let bytes = HexText.decode(text) else {
        throw DecodingError.dataCorruptedError(
          forKey: .bytes, in: container, debugDescription: "not 64 hex digits")
      }
      self.bytes = bytes
      // A peer of version 0.1.0 sends none.
      let expected = try container.decodeIfPresent(String.self, forKey: .crc32c)
      guard expected ?? checksum == checksum else {
        throw DecodingError.dataCorruptedError(
          forKey: .crc32c, in: container,
          debugDescription: "the key was damaged on its way: its checksum differs")
      }
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(id, forKey: .id)
      try container.encode(HexText.encode(bytes), forKey: .bytes)
      try container.encode(checksum, forKey: .crc32c)
    }
  }

  /// Nil: the target holds no key for this source.
  public let key: Key?

  public init(key: Key?) { self.key = key }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    guard let key else { return }
    try require(
      key.bytes.count == Self.keyByteCount, "key", "\(key.bytes.count) bytes",
      expected: "\(Self.keyByteCount)")
  }
}

extension KeyMessage.Key: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "key \(id)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}
