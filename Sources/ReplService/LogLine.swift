import Logging

/// One event as one line: `level event key=value key="quoted value"`.
///
/// Whatever is in a value, the line stays one line and its fields stay apart: control characters, quotes and
/// direction overrides are escaped, and lengths are limited.
enum LogLine {
  static func text(level: Logger.Level, message: String, fields: [(key: String, value: String)]) -> String {
    var line = "\(level.rawValue) "
    if isEventName(message) {
      line += message
    } else {
      // Libraries log sentences: they become a value, so that the second word is always an event name.
      line += "message text=\(value(message))"
    }
    for field in fields { line += " \(key(field.key))=\(value(field.value))" }
    return cut(line)
  }

  /// Lower-case words joined by dots or dashes: `pass.committed`, `config-loaded`.
  static func isEventName(_ text: String) -> Bool {
    guard (1...64).contains(text.utf8.count) else { return false }
    return text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
      default: false
      }
    }
  }

  private static func key(_ text: String) -> String {
    let safe = text.unicodeScalars.prefix(64).map { scalar -> Character in
      let isPlain =
        scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
        || "._-".unicodeScalars.contains(scalar)
      return scalar.isASCII && isPlain ? Character(scalar) : "_"
    }
    return safe.isEmpty ? "_" : String(safe)
  }

  static func value(_ text: String) -> String {
    var needsQuotes = text.isEmpty
    var escaped = ""
    var count = 0
    for scalar in text.unicodeScalars {
      guard count < ServiceLimits.logValueCharacters else {
        escaped += "…"
        break
      }
      count += 1
      if scalar == " " || scalar == "=" { needsQuotes = true }
      if let escape = escape(scalar) {
        needsQuotes = true
        escaped += escape
      } else {
        escaped.unicodeScalars.append(scalar)
      }
    }
    return needsQuotes ? "\"\(escaped)\"" : escaped
  }

  /// Nil for what may stand as it is.
  private static func escape(_ scalar: Unicode.Scalar) -> String? {
    switch scalar {
    case "\"": "\\\""
    case "\\": "\\\\"
    case "\n": "\\n"
    case "\r": "\\r"
    case "\t": "\\t"
    default: isHidden(scalar) ? "\\u{\(String(scalar.value, radix: 16))}" : nil
    }
  }

  /// Controls, invisible and direction-changing characters, private use and tags: everything that a terminal
  /// acts on or a reader does not see.
  private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate: true
    default: false
    }
  }

  private static func cut(_ line: String) -> String {
    guard line.utf8.count > ServiceLimits.logLineBytes else { return line }
    let bytes = line.utf8.prefix(ServiceLimits.logLineBytes)
    return String(decoding: bytes, as: UTF8.self) + "…"
  }
}
