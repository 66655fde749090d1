/// A pattern for the place of a VMX file beneath a watched folder: `*` stands for any text, `?` for one
/// character, `[a-z]` and `[!a-z]` for one of a set, and `\` takes the next character as it is.
///
/// It matches a file when it matches the file's path or that of a folder in which the file lies, so that
/// `templates` and `templates/*` are the same. Letters are compared as they are written.
public struct PathPattern: Sendable, Hashable, CustomStringConvertible {
  /// What a path may be long; a pattern that is longer matches none.
  static let limitCharacters = 1024

  /// Why a text is no pattern.
  public enum Flaw: Error, Hashable {
    case empty
    case tooLong
    /// A `[` without its `]`.
    case openBracket
    /// A `\` with nothing behind it.
    case loneBackslash
    /// It begins with `/`, but is compared with what lies beneath the folder.
    case absolute
  }

  private enum Part: Hashable {
    case one(Unicode.Scalar)
    case anyOne
    case anyText
    case set([ClosedRange<UInt32>], isNegated: Bool)
  }

  /// As it was written.
  public let description: String
  private let parts: [Part]

  public init(_ text: String) throws(Flaw) {
    description = text
    guard text.unicodeScalars.count <= Self.limitCharacters else { throw .tooLong }
    guard !text.hasPrefix("/") else { throw .absolute }
    var rest = Array(text.unicodeScalars)[...]
    while rest.last == "/" { rest.removeLast() }
    guard !rest.isEmpty else { throw .empty }
    var parts: [Part] = []
    while let scalar = rest.popFirst() {
      switch scalar {
      case "*": if parts.last != .anyText { parts.append(.anyText) }
      case "?": parts.append(.anyOne)
      case "[": parts.append(try Self.set(&rest))
      case "\\":
        guard let next = rest.popFirst() else { throw .loneBackslash }
        parts.append(.one(next))
      default: parts.append(.one(scalar))
      }
    }
    self.parts = parts
  }

  /// What follows a `[`, its `]` included. A `]` right at the beginning is part of the set.
  private static func set(_ rest: inout ArraySlice<Unicode.Scalar>) throws(Flaw) -> Part {
    let isNegated = rest.first == "!" || rest.first == "^"
    if isNegated { rest.removeFirst() }
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while let scalar = rest.popFirst() {
      if scalar == "]", !isFirst { return .set(ranges, isNegated: isNegated) }
      isFirst = false
      if rest.first == "-", let end = rest.dropFirst().first, end != "]" {
        rest.removeFirst(2)
        // A range that runs backwards is empty, as everywhere.
        if scalar.value <= end.value { ranges.append(scalar.value...end.value) }
      } else {
        ranges.append(scalar.value...scalar.value)
      }
    }
    throw .openBracket
  }

  /// Whether it matches the file at this path, given beneath the watched folder, or a folder above it.
  public func matches(_ path: String) -> Bool {
    let scalars = Array(path.unicodeScalars)
    if matches(scalars[...]) { return true }
    return scalars.indices.contains { scalars[$0] == "/" && $0 > 0 && matches(scalars[..<$0]) }
  }

  /// Goes back only to the last `*`: the work is bounded by the product of both lengths.
  private func matches(_ text: ArraySlice<Unicode.Scalar>) -> Bool {
    var (part, position) = (0, text.startIndex)
    var back: (part: Int, position: Int)?
    while position < text.endIndex {
      if part < parts.count, parts[part] == .anyText {
        back = (part + 1, position)
        part += 1
      } else if part < parts.count, Self.matches(parts[part], text[position]) {
        (part, position) = (part + 1, position + 1)
      } else if let last = back {
        back = (last.part, last.position + 1)
        (part, position) = (last.part, last.position + 1)
      } else {
        return false
      }
    }
    return parts[part...].allSatisfy { $0 == .anyText }
  }

  private static func matches(_ part: Part, _ scalar: Unicode.Scalar) -> Bool {
    switch part {
    case .one(let wanted): wanted == scalar
    case .anyOne: true
    case .anyText: false
    case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar.value) } != isNegated
    }
  }
}
