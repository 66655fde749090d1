/// Lines to be pasted into the configuration.
enum ConfigLine {
  /// One item of `vms:`.
  static func vm(_ path: String) -> String { "- \(scalar(path))" }

  /// A text as YAML: plain where that is surely the same, else quoted.
  static func scalar(_ text: String) -> String {
    let isPlain =
      text.hasPrefix("/")
      && text.utf8.allSatisfy { character in
        (48...57).contains(character) || (65...90).contains(character) || (97...122).contains(character)
          || "/._-+@".utf8.contains(character)
      }
    if isPlain { return text }
    var quoted = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let hex = String(scalar.value, radix: 16)
        quoted += "\\x" + (hex.count == 1 ? "0" : "") + hex
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return "\"\(quoted)\""
  }
}
