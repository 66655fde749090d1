import CLinux

/// A character set that the C library can turn into Unicode.
public struct CharacterSet: Hashable, Sendable {
  /// The C library's own name of it.
  public let name: String

  public init(name: String) { self.name = name }

  /// Windows' variants go by other names than the standards that they extend: the writers run there. The
  /// plain Shift_JIS of the C library would turn backslashes into yen signs.
  private static let aliases: [String: String] = [
    "shift_jis": "CP932", "sjis": "CP932", "ms_kanji": "CP932", "windows-31j": "CP932",
    "windows-932": "CP932", "big5": "CP950", "windows-950": "CP950", "gb2312": "GBK", "windows-936": "GBK",
    "euc-kr": "CP949", "ks_c_5601-1987": "CP949", "windows-949": "CP949",
  ]

  /// By a label as files carry it, in any case; nil when the C library of this machine does not know it, or
  /// when ASCII means something else in it (UTF-16, EBCDIC).
  public init?(label: String) {
    let isPlain = label.utf8.allSatisfy { byte in
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "._:-".utf8.contains(byte)
    }
    guard isPlain, (1...40).contains(label.utf8.count) else { return nil }
    self.init(name: Self.aliases[label.lowercased()] ?? label)
    let printable = Array(UInt8(0x20)...UInt8(0x7E))
    // Which of the two reasons it was makes no difference to the label.
    guard let text = try? decode(printable), text.utf8.elementsEqual(printable) else { return nil }
  }

  /// Why bytes were not decoded.
  public enum Failure: Error, Hashable {
    /// They are no text in this character set.
    case undecodable
    /// The C library of this machine lacks it.
    case unavailable
  }

  /// - Parameter bytes: without a NUL; at most a few KB (a name, a line).
  public func decode(_ bytes: some Collection<UInt8>) throws(Failure) -> String {
    let input = Array(bytes)
    // No character that one byte begins has more than three bytes in UTF-8; a few more for composed ones.
    let capacity = input.count * 4 + 16
    var length: Int64 = 0
    let text = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      length = repl_convert_to_utf8(name, input, input.count, buffer.baseAddress!, capacity)
      count = max(0, Int(length))
    }
    guard length != -2 else { throw .unavailable }
    guard length >= 0, let decoded = String(validating: text, as: UTF8.self) else { throw .undecodable }
    return decoded
  }
}
