import ReplModel

/// What is checked of JSON before a parser sees it, and how a parser's complaint is told.
enum JSONShape {
  private static let quote = UInt8(ascii: "\"")
  private static let backslash = UInt8(ascii: "\\")

  /// Throws unless the bytes are UTF-8 that begins with an object and are nested at most `maximumDepth` deep.
  static func check(
    _ bytes: UnsafeRawBufferPointer, _ type: MessageType, maximumDepth: Int
  ) throws(ProtocolError) {
    guard bytes.first == UInt8(ascii: "{") else { throw .json(type, detail: "does not begin with an object") }
    var depth = 0
    var inString = false
    var escaped = false
    for byte in bytes {
      // JSON text never holds a NUL; UTF-16 and UTF-32, which the parser would guess, always do.
      guard byte != 0 else { throw .json(type, detail: "a NUL byte: not UTF-8 text") }
      if inString {
        if escaped {
          escaped = false
        } else if byte == backslash {
          escaped = true
        } else if byte == quote {
          inString = false
        }
        continue
      }
      switch byte {
      case quote: inString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        guard depth <= maximumDepth else { throw .nestedTooDeep(type, limit: maximumDepth) }
      // Unbalanced text goes below zero; the parser refuses it.
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
    }
  }

  /// `disks.0.slot: not a disk slot such as scsi0:0`, printable.
  static func describe(_ error: DecodingError) -> String {
    let context: DecodingError.Context
    let what: String
    switch error {
    case .keyNotFound(let key, let found):
      (context, what) = (found, "the member \(key.stringValue) is missing")
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .dataCorrupted(let found):
      (context, what) = (found, found.debugDescription)
    @unknown default: return "unreadable"
    }
    let path = context.codingPath.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }.joined(separator: ".")
    return SafeText.printable(path.isEmpty ? what : "\(path): \(what)")
  }
}
