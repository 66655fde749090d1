import ReplModel

/// The escapes of VMware's dictionary files: `|XX` for a byte of two hex digits.
enum VMXEscape {
  /// What VMware's writer escapes: quote, bar, DEL and every control character but TAB.
  private static func mustEscape(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x09: false
    case 0..<0x20, 0x22, 0x7C, 0x7F: true
    default: false
    }
  }

  /// The value as it stands between the quotes.
  static func encode(_ value: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    for byte in value {
      guard mustEscape(byte) else {
        result.append(byte)
        continue
      }
      result.append(UInt8(ascii: "|"))
      result += HexText.encode([byte]).uppercased().utf8
    }
    return result
  }

  /// The value that the text between the quotes stands for. What only begins like an escape stays as it is,
  /// together with the byte that breaks it off (`||7C` is itself, as in VMware's reader); `|00` ends the
  /// value, because VMware's are C strings.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
      result.append(byte)
      guard byte == UInt8(ascii: "|"), let first = rest.popFirst() else { continue }
      result.append(first)
      guard let high = HexText.value(first), let second = rest.popFirst() else { continue }
      result.append(second)
      guard let low = HexText.value(second) else { continue }
      result.removeLast(3)
      let value = high << 4 | low
      if value == 0 { return result }
      result.append(value)
    }
    return result
  }

  /// One line as VMware's writer makes it, without the line end.
  static func line(_ name: String, _ value: String) -> [UInt8] {
    Array("\(name) = \"".utf8) + encode(value.utf8) + [UInt8(ascii: "\"")]
  }
}
