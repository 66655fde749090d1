import ReplIO
import ReplModel

/// The character set of a VMX.
public enum VMXEncoding: Hashable, Sendable {
  case utf8
  case windows1252
  /// One that this machine's C library reads, such as GBK or Shift_JIS.
  case named(CharacterSet)
  /// One that is not read here: ASCII is the same in all of them, other bytes show as `U+FFFD`.
  case other(String)

  init(label: String) {
    switch label.lowercased() {
    case "utf-8", "utf8", "us-ascii", "ascii": self = .utf8
    case "windows-1252", "cp1252", "iso-8859-1": self = .windows1252
    default: self = CharacterSet(label: label).map { .named($0) } ?? .other(label)
    }
  }

  /// For people.
  public var name: String {
    switch self {
    case .utf8: "UTF-8"
    case .windows1252: "windows-1252"
    case .named(let set): set.name
    case .other(let label): SafeText.printable(label, limit: 40)
    }
  }

  /// Text of the bytes; what makes no text becomes `U+FFFD`.
  func decode(_ bytes: [UInt8]) -> String {
    switch self {
    case .utf8: return String(decoding: bytes, as: UTF8.self)
    case .windows1252:
      return Windows1252.decode(bytes) ?? bytes.map { Windows1252.decode([$0]) ?? "\u{FFFD}" }.joined()
    case .named(let set):
      // Most lines need no conversion.
      guard bytes.contains(where: { $0 >= 0x80 }), !bytes.contains(0) else { return Self.ascii(of: bytes) }
      do throws(CharacterSet.Failure) { return try set.decode(bytes) } catch { return Self.ascii(of: bytes) }
    case .other: return Self.ascii(of: bytes)
    }
  }

  private static func ascii(of bytes: [UInt8]) -> String {
    String(String.UnicodeScalarView(bytes.map { $0 < 0x80 ? Unicode.Scalar($0) : "\u{FFFD}" }))
  }
}
