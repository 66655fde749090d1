/// The SHA-256 of a peer's public key (DER SubjectPublicKeyInfo), by which peers are pinned.
///
/// Text form: `sha256:` and 64 lower-case hex digits. Colons between digits and upper case are accepted.
public struct Fingerprint: Hashable, Sendable {
  public let hash: Hash256

  public init(hash: Hash256) { self.hash = hash }

  public init?(_ text: some StringProtocol) {
    let lowered = text.lowercased()
    guard lowered.hasPrefix("sha256:") else { return nil }
    guard let hash = Hash256(hex: lowered.dropFirst(7).filter { $0 != ":" }) else { return nil }
    self.hash = hash
  }
}

extension Fingerprint: CustomStringConvertible {
  public var description: String { "sha256:\(hash)" }
}

extension Fingerprint: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = Fingerprint(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a sha256: fingerprint")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
