import ReplModel

/// Why a command of the operator's did not do its work.
public enum CommandError: ActionableError {
  /// It cannot be run as it stands; the second text says why.
  case refused([String], String)
  /// It could not be started, or ended with another status than 0; the second text says how, and what it
  /// said.
  case failed([String], String)
  /// It did not end in time; it may have done its work.
  case killed([String], seconds: Double)
  /// It was ended, or not begun, because this process was told to end; it may have done its work.
  case stopped([String])

  public var remedy: Remedy {
    switch self {
    case .refused: .stopVM
    case .failed, .killed: .abandonPass
    case .stopped: .retryPass
    }
  }

  public var description: String {
    switch self {
    case .refused(let arguments, let why): "command \(CommandLineText.quoted(arguments)) is refused: \(why)"
    case .failed(let arguments, let why): "command \(CommandLineText.quoted(arguments)) failed: \(why)"
    case .killed(let arguments, let seconds):
      "command \(CommandLineText.quoted(arguments)) did not end within \((seconds * 10).rounded() / 10) s "
        + "and was killed: mend the cause, or raise its deadline"
    case .stopped(let arguments):
      "command \(CommandLineText.quoted(arguments)) was given up, because this program was told to end"
    }
  }
}

/// Argument lists for people.
public enum CommandLineText {
  /// As one line that may be pasted into a shell; what a terminal would act on is shown as `?`.
  public static func quoted(_ arguments: [String]) -> String {
    arguments.map { argument in
      let argument = SafeText.printable(argument, limit: 4096)
      let plain = argument.utf8.allSatisfy { character in
        (48...57).contains(character) || (65...90).contains(character) || (97...122).contains(character)
          || "/._-:=,@%+".utf8.contains(character)
      }
      return plain && !argument.isEmpty ? argument : "'\(argument.replacing("'", with: "'\\''"))'"
    }.joined(separator: " ")
  }
}
