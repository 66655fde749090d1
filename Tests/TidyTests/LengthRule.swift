/// How long files, functions and lines may be.
enum LengthRule {
  static let sourceWarning = 300
  static let sourceLines = 500
  static let testLines = 800
  static let functionLines = 70
  static let columns = 110

  struct Exception: Sendable {
    let path: String
    let reason: String
  }

  /// Lines that cannot be broken.
  static let longLines: [Exception] = []

  static func check(_ file: SourceFile) -> [Finding] {
    fileLength(file) + lineLength(file) + functionLength(file)
  }

  /// A file that should be split soon.
  static func warning(_ file: SourceFile) -> Finding? {
    let count = file.text.lines.count
    guard file.part == .sources, count > sourceWarning, count <= sourceLines else { return nil }
    return Finding(
      path: file.path, line: count, rule: "file-length",
      advice: "\(count) lines; split at \(sourceWarning): one noun a file, additions as Noun+Topic.swift")
  }

  private static func fileLength(_ file: SourceFile) -> [Finding] {
    let limit = file.part == .sources ? sourceLines : testLines
    let count = file.text.lines.count
    guard count > limit else { return [] }
    return [
      Finding(
        path: file.path, line: count, rule: "file-length",
        advice: "\(count) lines, at most \(limit): one noun a file, additions as Noun+Topic.swift")
    ]
  }

  private static func lineLength(_ file: SourceFile) -> [Finding] {
    guard !longLines.contains(where: { $0.path == file.path }) else { return [] }
    return file.text.lines.enumerated().compactMap { index, line in
      guard line.utf8.count > columns, line.count > columns else { return nil }
      return Finding(
        path: file.path, line: index + 1, rule: "line-length",
        advice: "\(line.count) columns, at most \(columns): break the line")
    }
  }

  private static func functionLength(_ file: SourceFile) -> [Finding] {
    FunctionScanner.functions(in: file.text).compactMap { function in
      guard function.lineCount > functionLines else { return nil }
      return Finding(
        path: file.path, line: function.line, rule: "function-length",
        advice:
          "\(function.name) has \(function.lineCount) lines, at most \(functionLines): move a step out of it")
    }
  }
}

/// Finds functions, initializers, subscripts and computed properties by counting braces.
struct FunctionScanner {
  struct Function: Hashable {
    let name: String
    /// Where it begins, from 1.
    let line: Int
    /// From the line of the name to the line of its closing brace, without the contents of long strings:
    /// those are data.
    let lineCount: Int
  }

  static func functions(in text: SwiftText) -> [Function] {
    var scanner = FunctionScanner(bytes: Array(text.code.joined(separator: "\n").utf8))
    return scanner.run().map { function in
      let lines = (function.line - 1)..<(function.line - 1 + function.lineCount)
      let dataLines = lines.count {
        isBlank(text.code[$0]) && isBlank(text.comments[$0]) && !isBlank(text.lines[$0])
      }
      return Function(name: function.name, line: function.line, lineCount: function.lineCount - dataLines)
    }
  }

  private static func isBlank(_ line: String) -> Bool { line.utf8.allSatisfy { $0 == UInt8(ascii: " ") } }

  private let bytes: [UInt8]
  private var functions: [Function] = []
  /// Per open brace the function that it began, if any.
  private var open: [(name: String, line: Int)?] = []
  /// A declaration whose body may follow. A property's value is not its body: `isProperty` ends at `=`.
  private var pending: (name: String, line: Int)?
  private var isProperty = false
  private var parentheses = 0
  /// The parentheses that were open around each open brace.
  private var depths: [Int] = []
  private var line = 1
  private var previousWord = ""

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func run() -> [Function] {
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if Self.isWord(byte) {
        let end = bytes[index...].firstIndex { !Self.isWord($0) } ?? bytes.count
        word(String(decoding: bytes[index..<end], as: UTF8.self), follows: index > 0 ? bytes[index - 1] : 0)
        index = end
      } else {
        symbol(byte)
        index += 1
      }
    }
    return functions.sorted { $0.line < $1.line }
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...: true
    default: false
    }
  }

  private mutating func word(_ word: String, follows byte: UInt8) {
    defer { previousWord = word }
    guard parentheses == 0 else { return }
    if previousWord == "func" || previousWord == "var" {
      pending = (word, line)
      isProperty = previousWord == "var"
    } else if ["init", "deinit", "subscript"].contains(word), byte != UInt8(ascii: ".") {
      pending = (word, line)
      isProperty = false
    } else if ["let", "case", "struct", "class", "enum", "extension", "protocol", "actor", "func"].contains(
      word)
    {
      // The declaration before it had no body (a protocol's requirement, a stored property).
      pending = nil
    }
  }

  private mutating func symbol(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\n"): line += 1
    case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
    case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
    case UInt8(ascii: "{"):
      // Parentheses within a closure's body count for themselves.
      open.append(parentheses == 0 ? pending : nil)
      if parentheses == 0 { pending = nil }
      depths.append(parentheses)
      parentheses = 0
    case UInt8(ascii: "}"):
      parentheses = depths.popLast() ?? 0
      // A requirement behind which its protocol ends has no body.
      if parentheses == 0 { pending = nil }
      if let function = open.popLast() ?? nil {
        functions.append(
          Function(name: function.name, line: function.line, lineCount: line - function.line + 1))
      }
    case UInt8(ascii: "="): if parentheses == 0, isProperty { pending = nil }
    default: break
    }
    if byte != UInt8(ascii: " "), byte != UInt8(ascii: "\n") { previousWord = "" }
  }
}
