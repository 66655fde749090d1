import ReplCommand
import ReplModel

extension ConfigReader {
  /// A list of arguments, the first an absolute path. `notes` say why a
  /// placeholder is not known here.
  func command(
    _ node: ConfigNode, placeholders: [String], notes: [String: String] = [:]
  ) -> CommandTemplate? {
    guard let items = list(node, count: 1...ServiceLimits.commandArguments, of: "arguments") else {
      return nil
    }
    var arguments: [String] = []
    for item in items {
      let isProgram = arguments.isEmpty
      let argument = isProgram ? path(item) : text(item, allowEmpty: true, limit: ServiceLimits.pathBytes)
      guard let argument, checkPlaceholders(argument, placeholders, item, isProgram: isProgram, notes)
      else { return nil }
      arguments.append(argument)
    }
    // Every argument was checked above.
    return try? CommandTemplate(arguments: arguments, placeholders: placeholders)
  }

  private func checkPlaceholders(
    _ argument: String, _ placeholders: [String], _ node: ConfigNode, isProgram: Bool,
    _ notes: [String: String]
  ) -> Bool {
    do throws(CommandTemplate.Flaw) {
      let hasPlaceholder = try CommandTemplate.check(argument, placeholders: placeholders)
      guard isProgram, hasPlaceholder else { return true }
      problem(node, "the program must not contain placeholders")
    } catch {
      let known = placeholders.map { "{\($0)}" }.joined(separator: " ")
      switch error {
      case .unknownPlaceholder(let name):
        problem(
          node,
          "unknown placeholder {\(SafeText.printable(name, limit: 64))}; known are \(known)"
            + (notes[name].map { "; \($0)" } ?? ""))
      case .loneBrace:
        problem(node, "a single brace; write {{ or }} for a brace, or one of \(known)")
      }
    }
    return false
  }
}
