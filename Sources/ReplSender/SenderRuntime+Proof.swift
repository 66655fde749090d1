import Logging
import ReplModel
import ReplPass

/// What is told of proofs.
extension SenderRuntime {
  /// A pass has ended with a proof, or should have. What is not identical is loud until the next pass.
  func note(_ proof: ProofOutcome, _ vm: VMID, name: String) {
    proofs.withLock { $0[vm] = proof }
    board.update(vm) { $0.running = nil }
    switch proof {
    case .statement(let statement, let path) where proof.verdict == .identical:
      logger.info(
        "proof",
        metadata: [
          "vm": "\(name)", "point": "\(statement.target.claim.point)", "verdict": "identical",
          "statement": "\(path)",
        ])
    case .statement(let statement, let path):
      noteTrouble(ProofSentence.text(statement, path: path), proof.verdict, vm, name: name)
    case .failed(.stopping): break
    case .failed(let error):
      noteTrouble("nothing is proven: \(error)", .inconclusive, vm, name: name)
    }
    keep(vm)
  }

  private func noteTrouble(_ cause: String, _ verdict: ProofVerdict, _ vm: VMID, name: String) {
    board.update(vm) { status in
      status.state = .failing
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: "prove", cause: cause, remedy: .abandonPass)
    }
    logger.log(
      level: verdict == .differing ? .error : .warning, "proof",
      metadata: ["vm": "\(name)", "verdict": "\(verdict.rawValue)", "cause": "\(cause)"])
  }
}
