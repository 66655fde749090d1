import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport

/// The proof that a pass may end with.
extension TargetPass {
  /// Whether to ask the source for a proof. One that cannot give it leaves the request unanswered for nobody:
  /// whoever asked is told.
  func wantsProof() -> Bool? {
    guard offer.purpose == .pass, service.desk != nil else { return nil }
    // A request that cannot be read asks for nothing; the pass is more important.
    guard let request = try? standby.proofRequest() else { return nil }
    guard agreement.features.contains(.proof) else {
      refuse(request, because: .proof(.notSpoken(peer: "sender")))
      return nil
    }
    proofRequest = request
    return true
  }

  private func refuse(_ request: ProofRequest, because error: PassError) {
    do throws(StandbyError) {
      try standby.answer(ProofAnswer(to: request, isDone: true, verdict: .inconclusive, detail: "\(error)"))
    } catch {
      return service.report(.notProven(vm: vmName, peer: peer, .standby(error)))
    }
    service.report(.notProven(vm: vmName, peer: peer, error))
  }

  private var vmName: String { SafeText.printable(offer.displayName) }

  /// The source reads its disks, and so does this side from the first message on.
  func take(reading: Reading) throws(PassError) {
    do throws(ProtocolError) { try reading.validate(after: sourceReading) } catch { throw .wire(error) }
    sourceReading = reading
    if proof != nil { return }
    let isWanted = offer.wantsProof == true || proofRequest != nil
    guard isWanted, let desk = service.desk, let point = standby.catalog.newest, point.pass == offer.pass
    else {
      throw conversation.unexpected(.reading)
    }
    let running = VMStatus.Running(
      pass: offer.pass, phase: "prove", startedAt: startedAt, doneBytes: 0, totalBytes: reading.totalBytes,
      wireBytes: conversation.connection.wireBytesReceived)
    let pass = TargetProof.Pass(
      service: service, conversation: conversation, desk: desk, peer: peer, running: running)
    let proof = TargetProof(
      pass, standby: standby, point: point, name: offer.displayName, request: proofRequest)
    try proof.start()
    self.proof = proof
  }

  func take(proof message: Proof) throws(PassError) {
    guard let proof else { throw conversation.unexpected(.proof) }
    try proof.take(message)
  }

  /// After this nobody but this thread uses the standby.
  func endProof(because error: PassError) {
    if let proof {
      proof.end(because: error)
      self.proof = nil
    } else if let proofRequest, isSettled {
      // The source could have begun and did not. After a cut the next pass is asked again.
      switch error {
      case .wire(.peer), .proof: refuse(proofRequest, because: error)
      default: break
      }
    }
  }
}
