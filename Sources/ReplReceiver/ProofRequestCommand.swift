import ArgumentParser
import ReplFailover
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplStandby

/// `verify --source` at the receiver: asks the next pass for a proof and waits for it.
enum SourceProof {
  /// The result, for `--json`.
  private struct Report: Encodable {
    let vm: VMID
    let name: String
    let verdict: ProofVerdict?
    let statement: String?
    let cause: String?
    let requestedAt: WallTime
  }

  /// Leaves the request; waits for its end unless told not to. Throws the exit code: 1 differing, 65
  /// inconclusive, 74 inconclusive because of an I/O error.
  static func request(
    _ found: StandbySearch.Found, json: Bool, waits: Bool, showsProgress: Bool
  ) async throws {
    if let fence = found.catalog.fence {
      throw Failure.exit(
        .refused, "\(name(found)) was promoted on \(fence.at): no pass comes that could prove anything")
    }
    let request = try found.store.requestProof(of: found.summary)
    Terminal.complain(
      "\(name(found)): asked for on \(request.at); the next pass of its sender ends with the proof\n")
    guard waits else {
      if json { try say(found, request, nil) }
      return
    }
    let answer = try await wait(for: request, found, showsProgress: showsProgress)
    let statement = try answer.statementPath.map { try ProofStatement.read(path: $0) }
    if json {
      try say(found, request, answer)
    } else if let statement, let path = answer.statementPath {
      Terminal.say(ProofSentence.text(statement, path: path) + "\n")
      for line in ProofSentence.lines(statement) { Terminal.say("  \(line)\n") }
    } else {
      Terminal.say(
        "\(name(found)): nothing is proven: \(SafeText.printable(answer.detail ?? "?", limit: 1024))\n"
      )
    }
    switch answer.verdict {
    case .identical: return
    case .differing: throw Failure.silent(.failed)
    case .inconclusive, nil: throw Failure.silent(statement?.hasUnreadable == true ? .inputOutput : .badData)
    }
  }

  private static func wait(
    for request: ProofRequest, _ found: StandbySearch.Found, showsProgress: Bool
  ) async throws -> ProofAnswer {
    var shown = -1
    while true {
      if let answer = try found.store.proofAnswer(to: request, of: found.summary) {
        if answer.isDone { return answer }
        let percent = Int(Double(answer.doneBytes) / Double(max(1, answer.totalBytes)) * 100)
        if showsProgress, percent != shown {
          shown = percent
          Terminal.complain(
            "reading the standby: \(percent) % of \(AmountText.size(bytes: answer.totalBytes))\n")
        }
      }
      // Cancelled, it ends: the request stays and is carried out.
      try await Task.sleep(for: .milliseconds(250))
    }
  }

  private static func say(
    _ found: StandbySearch.Found, _ request: ProofRequest, _ answer: ProofAnswer?
  ) throws {
    let report = Report(
      vm: found.catalog.vm, name: name(found), verdict: answer?.verdict, statement: answer?.statementPath,
      cause: answer?.detail.map { SafeText.printable($0, limit: 1024) }, requestedAt: request.at)
    Terminal.say(try JSONText.encode(report) + "\n")
  }

  private static func name(_ found: StandbySearch.Found) -> String {
    SafeText.printable(found.catalog.displayName)
  }
}
