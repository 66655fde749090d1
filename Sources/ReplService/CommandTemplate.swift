import ReplModel

/// A command as a list of arguments with placeholders; run without a shell.
///
/// `{vmx}` the path of the standby's VMX, `{name}` its display name, `{directory}` the standby's directory,
/// `{id}` the VM's identity. `{{` and `}}` stand for braces.
public struct CommandTemplate: Sendable, Hashable {
  /// What the placeholders stand for.
  public struct Values: Sendable, Hashable {
    public let vmxPath: String
    public let displayName: String
    public let directoryPath: String
    public let id: String

    public init(vmxPath: String, displayName: String, directoryPath: String, id: String) {
      self.vmxPath = vmxPath
      self.displayName = displayName
      self.directoryPath = directoryPath
      self.id = id
    }
  }

  /// The arguments as they are in the configuration; the first is the program's absolute path.
  public let arguments: [String]

  enum Piece: Hashable {
    case text(String)
    case placeholder(Placeholder)
  }

  enum Placeholder: String, CaseIterable {
    case vmx, name, directory, id
  }

  /// Why an argument cannot be used.
  enum Flaw: Error, Hashable {
    case unknownPlaceholder(String)
    case loneBrace
  }

  /// The arguments with every placeholder filled in.
  ///
  /// The display name comes from the other site: it is made printable, and as the beginning of an argument it
  /// never begins with a dash, so that it cannot become an option.
  public func filled(with values: Values) -> [String] {
    arguments.map { argument in
      // Checked when the configuration was read.
      guard let pieces = try? Self.pieces(of: argument) else { return argument }
      var text = ""
      for piece in pieces {
        switch piece {
        case .text(let literal): text += literal
        case .placeholder(.vmx): text += values.vmxPath
        case .placeholder(.directory): text += values.directoryPath
        case .placeholder(.id): text += values.id
        case .placeholder(.name):
          let name = SafeText.printable(values.displayName)
          text += text.isEmpty && name.hasPrefix("-") ? "_" + name.dropFirst() : name
        }
      }
      return text
    }
  }

  static func pieces(of argument: String) throws(Flaw) -> [Piece] {
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
      guard let placeholder = Placeholder(rawValue: String(rest[..<end])) else {
        throw .unknownPlaceholder(String(rest[..<end]))
      }
      pieces.append(.text(literal))
      pieces.append(.placeholder(placeholder))
      literal = ""
      rest = rest[rest.index(after: end)...]
    }
    return pieces + [.text(literal)]
  }
}

extension ConfigReader {
  /// A list of arguments, the first an absolute path.
  func command(_ node: ConfigNode) -> CommandTemplate? {
    guard let items = list(node, count: 1...ServiceLimits.commandArguments, of: "arguments") else {
      return nil
    }
    var arguments: [String] = []
    for item in items {
      let isProgram = arguments.isEmpty
      let argument = isProgram ? path(item) : text(item, allowEmpty: true, limit: ServiceLimits.pathBytes)
      guard let argument, checkPlaceholders(argument, item, isProgram: isProgram) else { return nil }
      arguments.append(argument)
    }
    return CommandTemplate(arguments: arguments)
  }

  private func checkPlaceholders(_ argument: String, _ node: ConfigNode, isProgram: Bool) -> Bool {
    do throws(CommandTemplate.Flaw) {
      let pieces = try CommandTemplate.pieces(of: argument)
      let isLiteral = pieces.allSatisfy { if case .text = $0 { true } else { false } }
      guard isProgram, !isLiteral else { return true }
      problem(node, "the program must not contain placeholders")
    } catch {
      let known = CommandTemplate.Placeholder.allCases.map { "{\($0.rawValue)}" }.joined(separator: " ")
      switch error {
      case .unknownPlaceholder(let name):
        problem(node, "unknown placeholder {\(SafeText.printable(name, limit: 64))}; known are \(known)")
      case .loneBrace:
        problem(node, "a single brace; write {{ or }} for a brace, or one of \(known)")
      }
    }
    return false
  }
}
