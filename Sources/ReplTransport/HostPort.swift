import ReplModel

/// A host and a TCP port. Text form: `dr.example:7443`, `192.0.2.1:7443`, `[2001:db8::1]:7443`.
public struct HostPort: Hashable, Sendable {
  /// A name or an address, without brackets.
  public let host: String
  /// 0 only for listening: the system picks a port.
  public let port: UInt16

  /// For values of our own; text goes through `init?(_:)`.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Nil unless the text is exactly one of the forms. An IPv6 address needs its brackets.
  public init?(_ text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
      return nil
    }
    var host = text[..<colon]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    let allowed = isBracketed ? Self.isAddressCharacter : Self.isNameCharacter
    guard !host.isEmpty, host.utf8.count <= TransportLimits.hostBytes, host.utf8.allSatisfy(allowed),
      isBracketed == host.contains(":")
    else { return nil }
    self.init(host: String(host), port: port)
  }

  private static func port(_ digits: some StringProtocol) -> UInt16? {
    guard (1...5).contains(digits.utf8.count) else { return nil }
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
    return UInt16(digits)
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// With a zone, as in `fe80::1%eth0`.
  private static func isAddressCharacter(_ byte: UInt8) -> Bool {
    isNameCharacter(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "%")
  }
}

extension HostPort: CustomStringConvertible {
  /// The form that `init?(_:)` reads.
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
