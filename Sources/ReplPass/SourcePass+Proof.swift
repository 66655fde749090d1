import ReplDigest
import ReplIO
import ReplModel

/// The proof that a pass may end with.
extension SourcePass {
  /// Whatever becomes of it, the point exists.
  func prove(
    _ point: RecoveryPoint, _ conversation: Conversation, maps: [SourceDiskMaps], key: DigestKey
  ) -> ProofOutcome {
    setPhase("prove")
    let desk: ProofDesk
    do throws(IOError) { desk = try ProofDesk(identity: settings.tls.identity, state: state.root) } catch {
      return .failed(.io(error))
    }
    return SourceProof(
      conversation, view: view, point: point, maps: maps, key: key, desk: desk, stop: stop, time: time
    ) { [self] done, total in noteProof(doneBytes: done, totalBytes: total) }.run()
  }
}
