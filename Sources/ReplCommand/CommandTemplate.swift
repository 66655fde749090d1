import ReplModel

/// A command as a list of arguments with placeholders in braces; run without a shell. `{{` and `}}` stand for
/// braces.
public struct CommandTemplate: Sendable, Hashable {
  /// Why an argument cannot be used.
  public enum Flaw: Error, Hashable {
    /// The name in the braces is none of those that are known.
    case unknownPlaceholder(String)
    /// A brace that neither begins nor ends a placeholder.
    case loneBrace
  }

  /// The placeholder whose value comes from the VM itself, and so possibly from another site.
  private static let namePlaceholder = "name"

  /// The arguments as they are in the configuration; the first is the program's absolute path.
  public let arguments: [String]
  private let pieces: [[Piece]]

  private enum Piece: Hashable {
    case text(String)
    case placeholder(String)
  }

  /// - Parameter placeholders: the names that may stand in braces.
  public init(arguments: [String], placeholders: [String]) throws(Flaw) {
    self.arguments = arguments
    var pieces: [[Piece]] = []
    for argument in arguments { pieces.append(try Self.pieces(of: argument, placeholders)) }
    self.pieces = pieces
  }

  /// Throws where one argument cannot be part of a command.
  /// - Returns: whether it holds a placeholder.
  public static func check(_ argument: String, placeholders: [String]) throws(Flaw) -> Bool {
    try pieces(of: argument, placeholders).contains { if case .placeholder = $0 { true } else { false } }
  }

  /// The arguments with every placeholder filled in; one without a value becomes nothing.
  ///
  /// `{name}` is made printable, and as the beginning of an argument it never begins with a dash, so that it
  /// cannot become an option.
  public func filled(with values: [String: String]) -> [String] {
    pieces.map { pieces in
      var text = ""
      for piece in pieces {
        switch piece {
        case .text(let literal): text += literal
        case .placeholder(Self.namePlaceholder):
          let name = SafeText.printable(values[Self.namePlaceholder] ?? "")
          text += text.isEmpty && name.hasPrefix("-") ? "_" + name.dropFirst() : name
        case .placeholder(let name): text += values[name] ?? ""
        }
      }
      return text
    }
  }

  private static func pieces(of argument: String, _ known: [String]) throws(Flaw) -> [Piece] {
    var pieces: [Piece] = []
    var literal = ""
    var rest = argument[...]
    while let character = rest.popFirst() {
      guard character == "{" || character == "}" else {
        literal.append(character)
        continue
      }
      if rest.first == character {
        rest.removeFirst()
        literal.append(character)
        continue
      }
      guard character == "{", let end = rest.firstIndex(of: "}") else { throw .loneBrace }
      let name = String(rest[..<end])
      guard known.contains(name) else { throw .unknownPlaceholder(name) }
      pieces.append(.text(literal))
      pieces.append(.placeholder(name))
      literal = ""
      rest = rest[rest.index(after: end)...]
    }
    return pieces + [.text(literal)]
  }
}

/// A command and how long it may take.
public struct CommandSpec: Sendable, Hashable {
  public let template: CommandTemplate
  public let deadlineSeconds: Double

  public init(template: CommandTemplate, deadlineSeconds: Double) {
    self.template = template
    self.deadlineSeconds = deadlineSeconds
  }
}
