/// How the data of a batch is packed. The raw value stands on the wire and in the journal; the name stands
/// in JSON.
public enum Codec: UInt8, Sendable, CaseIterable {
  /// As it is.
  case raw = 0
  /// One zlib stream (RFC 1950) without a preset dictionary. Every peer speaks it.
  case zlib = 1
  /// One Zstandard frame (RFC 8878) that declares its content size, without a dictionary.
  case zstd = 2

  /// `raw`, `zlib`, `zstd`.
  public var name: String {
    switch self {
    case .raw: "raw"
    case .zlib: "zlib"
    case .zstd: "zstd"
    }
  }

  /// Nil when no codec has that name.
  public init?(name: some StringProtocol) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }
}

extension Codec: CustomStringConvertible {
  /// The name.
  public var description: String { name }
}

extension Codec: Codable {
  /// Reads the name.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = Codec(name: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not a codec (raw, zlib or zstd)")
    }
    self = value
  }

  /// Writes the name.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }
}
