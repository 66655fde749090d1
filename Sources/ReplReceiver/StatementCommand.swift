import ArgumentParser
import ReplModel
import ReplPass
import ReplService

/// Proof statements, which `verify --source` makes.
struct StatementCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "statement", abstract: "Check the statement of a proof.",
    subcommands: [StatementCheckCommand.self])
}

/// Checks a statement file, from this installation or another.
struct StatementCheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Check both signatures of a statement, and say what it says.",
    discussion: """
      Needs no configuration. Whose keys they are is for you to compare: `fingerprint` prints that of an
      installation.
      Ends with 0 when the statement is genuine and says identical, 1 when it is genuine and says differing,
      65 when it is not genuine or says inconclusive.
      """)

  @Argument(help: "The file.")
  var file: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let report: StatementReport
    do throws(PassError) { report = try StatementReport(path: file) } catch {
      if case .io(let cause) = error { throw Failure.exit(.inputOutput, "\(cause)") }
      throw Failure.exit(.badData, "\(SafeText.printable(file, limit: 1024)) is not genuine: \(error)")
    }
    if json {
      Terminal.say(try JSONText.encode(report) + "\n")
    } else {
      for line in report.lines { Terminal.say(line + "\n") }
    }
    switch report.verdict {
    case .identical: return
    case .differing: throw Failure.silent(.failed)
    case .inconclusive: throw Failure.silent(.badData)
    }
  }
}
