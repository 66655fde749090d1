/// A Swift file as three layers of the same lines: everything, code only, comments only.
///
/// In `code`, comments and the contents of strings are blanks; the code within `\(...)` stays. This is a
/// scanner, not a parser: good enough for rules over a formatted tree.
struct SwiftText: Sendable {
  let lines: [String]
  let code: [String]
  let comments: [String]

  init(_ text: String) {
    var scanner = Scanner(Array(text.utf8))
    scanner.run()
    lines = Self.split(scanner.bytes)
    code = Self.split(scanner.code)
    comments = Self.split(scanner.comments)
  }

  private static func split(_ bytes: [UInt8]) -> [String] {
    var parts = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if parts.last?.isEmpty == true { parts.removeLast() }
    return parts.map { String(decoding: $0, as: UTF8.self) }
  }
}

private struct Scanner {
  enum State: Equatable {
    /// Within `\(`: how many parentheses are open.
    case interpolation(Int)
    case string(hashes: Int, isMultiline: Bool)
  }

  let bytes: [UInt8]
  var code: [UInt8]
  var comments: [UInt8]
  private var states: [State] = []
  private var index = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    let blank = bytes.map { $0 == UInt8(ascii: "\n") ? $0 : UInt8(ascii: " ") }
    code = blank
    comments = blank
  }

  mutating func run() {
    while index < bytes.count {
      if case .string(let hashes, let isMultiline) = states.last {
        stringStep(hashes, isMultiline)
      } else {
        codeStep()
      }
    }
  }

  private func starts(_ text: StaticString, at offset: Int = 0) -> Bool {
    let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    guard index + offset + wanted.count <= bytes.count else { return false }
    return bytes[(index + offset)..<(index + offset + wanted.count)].elementsEqual(wanted)
  }

  private mutating func keep(_ count: Int = 1) {
    for position in index..<min(index + count, bytes.count) { code[position] = bytes[position] }
    index += count
  }

  private mutating func codeStep() {
    if starts("//") {
      while index < bytes.count, bytes[index] != UInt8(ascii: "\n") {
        comments[index] = bytes[index]
        index += 1
      }
    } else if starts("/*") {
      blockComment()
    } else if let hashes = openingHashes() {
      let isMultiline = starts("\"\"\"", at: hashes)
      keep(hashes + (isMultiline ? 3 : 1))
      states.append(.string(hashes: hashes, isMultiline: isMultiline))
    } else if let length = regexLength() {
      index += length
    } else {
      if case .interpolation(let open) = states.last { interpolationStep(open) }
      keep()
    }
  }

  private mutating func interpolationStep(_ open: Int) {
    if bytes[index] == UInt8(ascii: "(") { states[states.count - 1] = .interpolation(open + 1) }
    if bytes[index] == UInt8(ascii: ")") {
      if open == 1 { states.removeLast() } else { states[states.count - 1] = .interpolation(open - 1) }
    }
  }

  private mutating func blockComment() {
    var depth = 0
    repeat {
      if starts("/*") { depth += 1 }
      if starts("*/") { depth -= 1 }
      let length = starts("/*") || starts("*/") ? 2 : 1
      for position in index..<min(index + length, bytes.count) { comments[position] = bytes[position] }
      index += length
    } while depth > 0 && index < bytes.count
  }

  /// The `#` before a quote at this place; nil when no string begins here.
  private func openingHashes() -> Int? {
    var count = 0
    while index + count < bytes.count, bytes[index + count] == UInt8(ascii: "#") { count += 1 }
    return starts("\"", at: count) ? count : nil
  }

  private mutating func stringStep(_ hashes: Int, _ isMultiline: Bool) {
    let quotes = isMultiline ? 3 : 1
    if (isMultiline ? starts("\"\"\"") : starts("\"")), hashesFollow(quotes, hashes) {
      keep(quotes + hashes)
      states.removeLast()
    } else if starts("\\"), hashesFollow(1, hashes) {
      if starts("(", at: 1 + hashes) {
        index += 1 + hashes
        keep()
        states.append(.interpolation(1))
      } else {
        index += 2 + hashes
      }
    } else if !isMultiline, starts("\n") {
      // Not a string after all: a line break ends it, so that one mistake does not spoil the file.
      states.removeLast()
    } else {
      index += 1
    }
  }

  private func hashesFollow(_ offset: Int, _ hashes: Int) -> Bool {
    let range = (index + offset)..<(index + offset + hashes)
    return range.upperBound <= bytes.count && bytes[range].allSatisfy { $0 == UInt8(ascii: "#") }
  }

  /// A regex literal between slashes on one line, where an operand can begin.
  private func regexLength() -> Int? {
    guard bytes[index] == UInt8(ascii: "/"), index + 1 < bytes.count else { return nil }
    let next = bytes[index + 1]
    guard next != UInt8(ascii: " "), next != UInt8(ascii: "\n") else { return nil }
    var before = index - 1
    while before >= 0, bytes[before] == UInt8(ascii: " ") { before -= 1 }
    guard before >= 0, "(,=:[{\n".utf8.contains(bytes[before]) else { return nil }
    var end = index + 1
    while end < bytes.count, bytes[end] != UInt8(ascii: "\n") {
      if bytes[end] == UInt8(ascii: "/") { return end + 1 - index }
      end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
    }
    return nil
  }
}
