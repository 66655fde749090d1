import ReplCommand
import ReplModel
import ReplStandby

/// Why a failover did not go on. Whatever step it stopped at, running it again goes on from there.
public enum FailoverError: ActionableError {
  /// `unreadable`: folders whose catalog could not be read, with the problem.
  case noSuchVM(String, known: [String], unreadable: [String])
  /// The folder that `name` means has a catalog that cannot be read.
  case unreadable(String, problems: [String])
  case ambiguousVM(String, matches: [String])
  case noRecoveryPoint(String)
  /// The newest point is fuzzy, and nobody said that it may be taken.
  case fuzzyPoint(String, String)
  /// The point that was asked for is not kept.
  case noSuchPoint(String, PointReference, known: [PointReference])
  /// Another point was registered or started already.
  case otherPoint(String, wanted: PointReference, started: PointReference?)
  /// The standby is suspect or diverged, and nobody said that it may be taken.
  case doubtful(String, String)
  /// A committed point cannot be brought into the disks, which hold the one before it.
  case unsettled(String, StandbyError, held: PointReference)
  case standby(StandbyError)
  case files(String)
  case commandRefused([String], String)
  case commandFailed([String], String)
  /// It did not end in time; it may have done its work.
  case commandKilled([String], seconds: Double)
  case notConfirmed(String)

  public var remedy: Remedy { .stopVM }

  public var description: String {
    switch self {
    case .noSuchVM(let name, let known, let unreadable):
      "no standby is called \(SafeText.printable(name)): "
        + (known.isEmpty ? "there are no standbys" : "there are \(known.joined(separator: ", "))")
        + (unreadable.isEmpty ? "" : "; not readable: \(unreadable.joined(separator: "; "))")
    case .unreadable(let name, let problems):
      "the catalog of \(SafeText.printable(name)) cannot be read: \(problems.joined(separator: "; "))"
    case .ambiguousVM(let name, let matches):
      "\(SafeText.printable(name)) means more than one standby: use one of the identities "
        + matches.joined(separator: ", ")
    case .noRecoveryPoint(let name):
      "\(name) has no recovery point yet: its first copy is not complete, so there is nothing to start"
    case .fuzzyPoint(let name, let why): "\(name) is not failed over: \(why)"
    case .noSuchPoint(let name, let point, let known):
      "\(name) has no recovery point \(point): it has \(known.map { "\($0)" }.joined(separator: ", "))"
    case .otherPoint(let name, let wanted, let started):
      "\(name) was registered or started at recovery point \(started.map { "\($0)" } ?? "unknown"): going to "
        + "\(wanted) would take the disks from under it; run failover without --point to go on, or "
        + "unregister "
        + "the VM and read the other point with repl-receiver points mount"
    case .doubtful(let name, let why):
      "\(name) is not failed over: \(why). When there is no better copy, take it with --force"
    case .unsettled(let name, let error, let held):
      "\(name) is not failed over: a committed recovery point cannot be brought into its disks: \(error). "
        + "The disks still hold recovery point \(held): when the cause cannot be mended, take that one with "
        + "--point \(held) --force"
    case .standby(let error): "\(error)"
    case .files(let text): text
    case .commandRefused(let arguments, let why): "command \(Self.quoted(arguments)) is refused: \(why)"
    case .commandFailed(let arguments, let why):
      "command \(Self.quoted(arguments)) failed: \(why)\(why.hasSuffix(".") ? "" : ".") Mend the cause and "
        + "run failover again: it goes on here"
    case .commandKilled(let arguments, let seconds):
      "command \(Self.quoted(arguments)) did not end within \(seconds) s and was killed. Mend the cause, or "
        + "raise failover.deadline, and run failover again: it goes on here"
    case .notConfirmed(let name): "failover of \(name) was not confirmed: nothing was changed"
    }
  }

  /// For people, who may paste it into a shell.
  public static func quoted(_ arguments: [String]) -> String { CommandLineText.quoted(arguments) }

  init(_ error: CommandError) {
    switch error {
    case .refused(let arguments, let why): self = .commandRefused(arguments, why)
    case .failed(let arguments, let why): self = .commandFailed(arguments, why)
    case .killed(let arguments, let seconds): self = .commandKilled(arguments, seconds: seconds)
    case .stopped(let arguments): self = .commandFailed(arguments, "it was given up")
    }
  }
}
