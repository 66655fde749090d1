/// Finds what looks like an anchor or alias before the YAML library multiplies it.
enum ConfigAliases {
  /// The place of the first candidate when there are more than a bomb needs; nil when there are few.
  ///
  /// A candidate is `&x` or `*x` where a value can begin, outside comment lines. Quotes are not understood,
  /// which is why a few candidates are let through: the nodes show later which of them were real.
  static func tooMany(in bytes: ArraySlice<UInt8>) -> ConfigPosition? {
    var (line, column, count) = (1, 1, 0)
    var first: ConfigPosition?
    var isBlankSoFar = true
    var isComment = false
    var previous = UInt8(ascii: "\n")
    for byte in bytes {
      if isBlankSoFar, byte == UInt8(ascii: "#") { isComment = true }
      if !isComment, startsValue(previous), byte == UInt8(ascii: "&") || byte == UInt8(ascii: "*") {
        count += 1
        first = first ?? ConfigPosition(line: line, column: column)
      }
      // Continuation bytes of UTF-8 are no columns of their own.
      if byte & 0xC0 != 0x80 { column += 1 }
      isBlankSoFar = isBlankSoFar && (byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t"))
      if byte == UInt8(ascii: "\n") {
        (line, column) = (line + 1, 1)
        (isBlankSoFar, isComment) = (true, false)
      }
      previous = byte
    }
    return count > ServiceLimits.aliasCandidates ? first : nil
  }

  private static func startsValue(_ previous: UInt8) -> Bool { " \t\r\n[{,".utf8.contains(previous) }
}
