/// The 128-bit digest of one page, as two words in the byte order of the digest map (first eight bytes, last
/// eight, each little-endian). The all-zero page has the all-zero digest.
public struct PageDigest: Hashable, Sendable {
  public static let byteCount = 16
  public static let zero = PageDigest(low: 0, high: 0)

  public let low: UInt64
  public let high: UInt64

  @inlinable public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  @inlinable public var isZero: Bool { low | high == 0 }
}

/// A SHA-256 value: 32 bytes. Written as 64 hex digits.
public struct Hash256: Hashable, Sendable {
  public static let byteCount = 32
  public static let zero = Hash256(bytes: [UInt8](repeating: 0, count: 32))!

  public let bytes: [UInt8]

  public init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  public init?(hex: some StringProtocol) {
    guard let bytes = HexText.decode(hex) else { return nil }
    self.init(bytes: bytes)
  }
}

extension Hash256: CustomStringConvertible {
  public var description: String { HexText.encode(bytes) }
}

extension Hash256: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard text.utf8.count == 64, let value = Hash256(hex: text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not 64 hex digits")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// The root of a digest tree. Equal roots mean equal maps.
public typealias Root = Hash256
