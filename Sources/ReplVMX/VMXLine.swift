/// One line of a VMX, byte for byte, and what VMware's reader makes of it (open-vm-tools, `dictll.c`).
///
/// ```
/// line  = ws name ws "=" ws ( '"' quoted '"' | bare | ) ws [ "#" comment ]   |   ws [ "#" comment ]
/// name  = no space, tab, '=' or '#';  bare = no space, tab or '#';  quoted = no '"';  ws = space/tab
/// ```
struct VMXLine: Hashable, Sendable {
  enum Content: Hashable, Sendable {
    case entry(name: [UInt8], value: [UInt8])
    /// Nothing, or a comment.
    case comment
    /// No reader is sure what it means: kept as it is.
    case unparsed
  }

  let bytes: [UInt8]
  /// LF, CRLF, CR, or nothing at the end of the file.
  let end: [UInt8]
  let content: Content

  init(bytes: ArraySlice<UInt8>, end: ArraySlice<UInt8>) {
    self.bytes = Array(bytes)
    self.end = Array(end)
    content = Self.parse(bytes)
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
  }
  private static let hash = UInt8(ascii: "#")
  private static let equals = UInt8(ascii: "=")
  private static let quote = UInt8(ascii: "\"")

  /// VMware's lines are C strings: what follows a NUL is not there for its reader.
  var hasNUL: Bool { bytes.contains(0) }

  private static func parse(_ line: ArraySlice<UInt8>) -> Content {
    var rest = line.prefix { $0 != 0 }.drop(while: isBlank)
    if rest.isEmpty || rest.first == hash { return .comment }
    let name = rest.prefix { !isBlank($0) && $0 != equals && $0 != hash }
    rest = rest[name.endIndex...].drop(while: isBlank)
    guard !name.isEmpty, rest.first == equals else { return .unparsed }
    rest = rest.dropFirst().drop(while: isBlank)
    let value: ArraySlice<UInt8>
    if rest.first == quote {
      rest = rest.dropFirst()
      guard let end = rest.firstIndex(of: quote) else { return .unparsed }
      value = rest[..<end]
      rest = rest[(end + 1)...]
    } else {
      value = rest.prefix { !isBlank($0) && $0 != hash }
      rest = rest[value.endIndex...]
    }
    rest = rest.drop(while: isBlank)
    guard rest.isEmpty || rest.first == hash else { return .unparsed }
    return .entry(name: Array(name), value: VMXEscape.decode(value))
  }

  /// Cuts a text at LF, CRLF and lone CR.
  static func lines(of text: ArraySlice<UInt8>) throws(VMXError) -> [VMXLine] {
    var lines: [VMXLine] = []
    var rest = text
    while !rest.isEmpty {
      guard lines.count < Limits.lines else {
        throw VMXError(.tooManyLines, "the VMX has more than \(Limits.lines) lines: it is damaged or no VMX")
      }
      let stop = rest.firstIndex { $0 == 0x0A || $0 == 0x0D } ?? rest.endIndex
      var after = stop
      if after < rest.endIndex {
        after += rest[stop] == 0x0D && rest[stop...].dropFirst().first == 0x0A ? 2 : 1
      }
      lines.append(VMXLine(bytes: rest[rest.startIndex..<stop], end: rest[stop..<after]))
      rest = rest[after...]
    }
    return lines
  }
}
