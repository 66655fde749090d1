/// A pattern for the names of a VMX: `*` is any text, `#` a number, `<bus>` one of scsi, sata, nvme, ide.
/// Case does not matter.
struct KeyPattern: Hashable, Sendable {
  private enum Part: Hashable, Sendable {
    case text([UInt8])
    case number
    case anything
    case bus
  }

  let text: String
  private let parts: [Part]

  init(_ text: String) {
    self.text = text
    var parts: [Part] = []
    var literal: [UInt8] = []
    var rest = text.lowercased()[...]
    func flush() {
      if !literal.isEmpty { parts.append(.text(literal)) }
      literal = []
    }
    while let character = rest.first {
      if rest.hasPrefix("<bus>") {
        flush()
        parts.append(.bus)
        rest = rest.dropFirst(5)
        continue
      }
      switch character {
      case "*":
        flush()
        parts.append(.anything)
      case "#":
        flush()
        parts.append(.number)
      default: literal += character.utf8
      }
      rest = rest.dropFirst()
    }
    flush()
    self.parts = parts
  }

  /// `name` in lower case, as bytes: one name is compared with many patterns.
  func matches(_ name: [UInt8]) -> Bool { Self.matches(parts[...], name[...]) }

  private static let buses = ["scsi", "sata", "nvme", "ide"].map { Array($0.utf8) }

  private static func matches(_ parts: ArraySlice<Part>, _ text: ArraySlice<UInt8>) -> Bool {
    guard let first = parts.first else { return text.isEmpty }
    let rest = parts.dropFirst()
    switch first {
    case .text(let literal): return text.starts(with: literal) && matches(rest, text.dropFirst(literal.count))
    case .bus:
      return buses.contains { text.starts(with: $0) && matches(rest, text.dropFirst($0.count)) }
    case .number:
      let digits = text.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      return !digits.isEmpty && matches(rest, text[digits.endIndex...])
    case .anything:
      if rest.isEmpty { return true }
      // Most patterns that begin with a star end with a word: no need to try every place.
      if rest.count == 1, case .text(let literal)? = rest.first {
        return text.reversed().starts(with: literal.reversed())
      }
      return (text.startIndex...text.endIndex).contains { matches(rest, text[$0...]) }
    }
  }
}
