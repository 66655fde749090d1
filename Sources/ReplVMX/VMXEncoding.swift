import ReplModel

/// The character set of a VMX.
public enum VMXEncoding: Hashable, Sendable {
  case utf8
  case windows1252
  /// One that is not read here: ASCII is the same in all of them, other bytes show as `U+FFFD`.
  case other(String)

  init(label: String) {
    switch label.lowercased() {
    case "utf-8", "utf8", "us-ascii", "ascii": self = .utf8
    case "windows-1252", "cp1252", "iso-8859-1": self = .windows1252
    default: self = .other(label)
    }
  }

  /// Text of the bytes; what makes no text becomes `U+FFFD`.
  func decode(_ bytes: [UInt8]) -> String {
    switch self {
    case .utf8: return String(decoding: bytes, as: UTF8.self)
    case .windows1252:
      return Windows1252.decode(bytes) ?? bytes.map { Windows1252.decode([$0]) ?? "\u{FFFD}" }.joined()
    case .other:
      return String(String.UnicodeScalarView(bytes.map { $0 < 0x80 ? Unicode.Scalar($0) : "\u{FFFD}" }))
    }
  }
}
