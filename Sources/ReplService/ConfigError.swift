import ReplModel

/// A place in a configuration file. Lines and columns count from 1, columns in Unicode scalars.
public struct ConfigPosition: Hashable, Sendable, Comparable {
  public let line: Int
  public let column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// One thing that is wrong with a configuration.
public struct ConfigProblem: Hashable, Sendable {
  /// Nil when the file as a whole is meant (it cannot be read).
  public let position: ConfigPosition?
  /// What was found, what was expected, what to write.
  public let message: String

  public init(at position: ConfigPosition?, _ message: String) {
    self.position = position
    self.message = message
  }

  /// `name` is where the value stands, `vms[2].interval`; empty at the top.
  init(at position: ConfigPosition, name: String, _ message: String) {
    self.init(at: position, name.isEmpty ? message : "\(name): \(message)")
  }
}

/// Everything that is wrong with a configuration, in the order of the file.
public struct ConfigError: ActionableError, Hashable {
  /// For people; made printable.
  public let path: String
  public let problems: [ConfigProblem]

  public init(path: String, problems: [ConfigProblem]) {
    self.path = SafeText.printable(path, limit: ServiceLimits.pathBytes)
    self.problems = problems
  }

  /// For a schema that refused without saying why: a mistake of ours that must not become a daemon without
  /// values.
  static func unexplained(path: String) -> ConfigError {
    ConfigError(
      path: path, problems: [ConfigProblem(at: nil, "cannot be used, and the reason was not recorded")])
  }

  /// A daemon with a wrong configuration does not start; one that runs keeps the configuration it has.
  public var remedy: Remedy { .stopVM }

  /// One line a problem: `path:line:column: message`.
  public var description: String {
    var lines: [String] = []
    for problem in problems.prefix(ServiceLimits.configProblems) {
      let place = problem.position.map { ":\($0.line):\($0.column)" } ?? ""
      lines.append("\(path)\(place): \(problem.message)")
    }
    let rest = problems.count - lines.count
    if rest > 0 { lines.append("\(path): \(rest) more problems are not shown") }
    return lines.joined(separator: "\n")
  }
}
