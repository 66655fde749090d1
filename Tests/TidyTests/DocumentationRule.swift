/// Every public declaration in the sources carries `///`, except where there is nothing to add.
struct DocumentationRule {
  /// Members that a protocol of the standard library, or of ours, describes.
  private let witnesses: Set<String>

  static let standardWitnesses: Set<String> = [
    "description", "debugDescription", "customMirror", "hash", "encode", "next", "makeIterator",
    "remedy",
  ]

  /// What needs no `///`, and why.
  static let exemptions: [(what: String, reason: String, holds: @Sendable (String) -> Bool)] = [
    (
      "stored properties", "the type is documented, the name carries the unit (CONTRIBUTING.md)",
      { isProperty($0) && !$0.contains("{") }
    ),
    (
      "computed properties of one line", "the expression says it",
      { isProperty($0) && $0.contains("{") && $0.hasSuffix("}") }
    ),
    (
      "initializers", "most only store their arguments; those that check return nil or throw",
      { isInitializer($0) }
    ),
    (
      "namespaces of one line", "an enum without cases is a name",
      { $0.contains("enum ") && $0.hasSuffix("{}") }
    ),
  ]

  /// `files`: where our protocols are looked for.
  init(files: [SourceFile]) {
    witnesses = Self.standardWitnesses.union(files.flatMap(Self.documentedRequirements))
  }

  func check(_ file: SourceFile) -> [Finding] {
    guard file.part == .sources else { return [] }
    return file.text.code.indices.compactMap { line in
      let code = file.text.code[line]
      guard let name = Self.publicName(code), !witnesses.contains(name) else { return nil }
      let trimmed = String(code.trimmed)
      guard !Self.exemptions.contains(where: { $0.holds(trimmed) }) else { return nil }
      guard !Self.isDocumented(file.text, line) else { return nil }
      return Finding(
        path: file.path, line: line + 1, rule: "documentation",
        advice: "\(name) is public and has no `///`: say what it is, its units, its errors")
    }
  }

  /// The names that documented requirements of a public protocol introduce.
  private static func documentedRequirements(_ file: SourceFile) -> [String] {
    var names: [String] = []
    var depth = 0
    for (line, code) in file.text.code.enumerated() {
      let words = code.split(separator: " ")
      if depth == 0, words.starts(with: ["public", "protocol"]) {
        depth = 1
      } else if depth > 0 {
        let requirement = "public " + code.trimmed
        if let name = publicName(requirement), isDocumented(file.text, line) { names.append(name) }
        // A protocol ends with a brace in the first column.
        if code.hasPrefix("}") { depth = 0 }
      }
    }
    return names
  }

  /// The name of what a line declares as public; nil when it declares nothing, or an extension.
  static func publicName(_ line: String) -> String? {
    var words = declaration(line)
    guard let kind = words.popFirst() else { return nil }
    if kind == "extension" || kind == "import" { return nil }
    if isNamed("init", kind) { return "init" }
    if isNamed("subscript", kind) { return "subscript" }
    guard kinds.contains(kind), let name = words.first else { return nil }
    let letters = name.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "`" }
    // An operator's meaning is its operator.
    return letters.isEmpty ? nil : String(letters)
  }

  private static let kinds: Set<Substring> = [
    "func", "var", "let", "class", "struct", "enum", "protocol", "actor", "typealias", "associatedtype",
    "macro",
  ]

  /// `class` is a modifier before func and var, a kind otherwise.
  private static let modifiers: Set<Substring> = [
    "static", "final", "mutating", "nonmutating", "consuming", "borrowing", "lazy", "weak", "override",
    "class",
    "required", "convenience", "indirect", "nonisolated", "private(set)", "internal(set)", "package(set)",
    "isolated",
    "nonisolated(unsafe)", "prefix", "infix", "postfix", "nonisolated(nonsending)",
  ]

  /// The words from the kind on, without attributes and modifiers; empty when the line declares nothing
  /// public.
  private static func declaration(_ line: String) -> ArraySlice<Substring> {
    var words = line.split(separator: " ")[...]
    while let word = words.first, word.hasPrefix("@") { words.removeFirst() }
    guard let first = words.popFirst(), first == "public" || first == "open" else { return [] }
    while let word = words.first, modifiers.contains(word) {
      if word == "class", let next = words.dropFirst().first, !["func", "var", "let"].contains(next) {
        break
      }
      words.removeFirst()
    }
    return words
  }

  private static func isNamed(_ name: String, _ word: Substring) -> Bool {
    guard word.hasPrefix(name) else { return false }
    return word.dropFirst(name.count).first.map { "(?!<".contains($0) } ?? true
  }

  private static func isProperty(_ line: String) -> Bool {
    let kind = declaration(line).first
    return kind == "let" || kind == "var"
  }

  private static func isInitializer(_ line: String) -> Bool {
    declaration(line).first.map { isNamed("init", $0) } ?? false
  }

  /// A doc comment above, with nothing but attributes and comments between.
  private static func isDocumented(_ text: SwiftText, _ line: Int) -> Bool {
    var above = line - 1
    while above >= 0 {
      let (code, comment) = (text.code[above].trimmed, text.comments[above].trimmed)
      if comment.hasPrefix("///"), code.isEmpty { return true }
      guard code.hasPrefix("@") || (code.isEmpty && !comment.isEmpty) else { return false }
      above -= 1
    }
    return false
  }
}

extension String {
  /// Without the blanks at both ends.
  fileprivate var trimmed: Substring {
    let front = drop { $0 == " " || $0 == "\t" }
    return front.last == " "
      ? front.prefix(through: front.lastIndex { $0 != " " } ?? front.startIndex) : front
  }
}
