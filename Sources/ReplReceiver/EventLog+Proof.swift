import Logging
import ReplModel
import ReplPass

extension EventLog {
  /// A proof came to its end; one that found a difference needs a person.
  func write(_ statement: ProofStatement, peer: String, path: String) {
    let verdict = statement.verdict
    let level: Logger.Level =
      switch verdict {
      case .identical: .info
      case .differing: .error
      case .inconclusive: .warning
      }
    logger.log(
      level: level, "proof",
      metadata: [
        "vm": "\(SafeText.printable(statement.target.claim.name))", "peer": "\(peer)",
        "point": "\(statement.target.claim.point)", "verdict": "\(verdict.rawValue)",
        "what": "\(ProofSentence.text(statement, path: path))", "statement": "\(path)",
      ])
  }
}
