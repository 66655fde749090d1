import ReplModel
import Yams

/// The YAML library's errors in our words, with their place.
enum ConfigSyntax {
  static func problem(_ error: any Error, in text: String) -> ConfigProblem {
    guard let error = error as? YamlError else {
      return ConfigProblem(at: nil, "cannot be read as YAML: \(SafeText.printable("\(error)"))")
    }
    switch error {
    case .scanner(let context, let problem, let mark, _):
      return syntax(context, problem, mark, in: text)
    case .parser(let context, let problem, let mark, _), .composer(let context, let problem, let mark, _):
      return syntax(context, problem, mark, in: text)
    case .duplicatedKeysInMapping(let keys, let context):
      let shown = keys.map { SafeText.printable($0, limit: 64) }.joined(separator: ", ")
      return ConfigProblem(at: position(context.mark), "\(shown): the key is given more than once here")
    default:
      return ConfigProblem(at: nil, "cannot be read as YAML: \(SafeText.printable("\(error)"))")
    }
  }

  private static func syntax(
    _ context: YamlError.Context?, _ problem: String, _ mark: Mark, in text: String
  ) -> ConfigProblem {
    let position = position(mark)
    if scalar(at: position, in: text) == "\t" {
      return ConfigProblem(at: position, "a tab stands where YAML allows only spaces; indent with spaces")
    }
    if problem.contains("another document") {
      return ConfigProblem(at: position, "a second document begins here; a configuration is one document")
    }
    let opening = context.map { " \($0.text) (line \($0.mark.line)):" } ?? ""
    return ConfigProblem(at: position, "not valid YAML:\(opening) \(problem)")
  }

  private static func position(_ mark: Mark) -> ConfigPosition {
    ConfigPosition(line: mark.line, column: mark.column)
  }

  private static func scalar(at wanted: ConfigPosition, in text: String) -> Unicode.Scalar? {
    var (line, column) = (1, 1)
    for scalar in text.unicodeScalars {
      if line == wanted.line, column == wanted.column { return scalar }
      column += 1
      if scalar == "\n" { (line, column) = (line + 1, 1) }
    }
    return nil
  }
}
