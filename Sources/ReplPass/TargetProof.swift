import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby

/// The proof after a pass, at the target: reads the standby disks on a thread of its own, waits for the
/// source's claim, and makes the statement of both. The session's thread receives meanwhile.
final class TargetProof: Sendable {
  /// What the session's thread has to tell.
  private struct Told {
    var proof: Proof?
    /// Why it is no use to go on.
    var end: PassError?
  }

  let point: RecoveryPoint
  let request: ProofRequest?
  private let pass: Pass
  private let name: String
  // SAFETY: the session's thread leaves the standby alone from `start` until `end` has returned, except for
  // what the failover watch does, which is safe from any thread.
  private nonisolated(unsafe) let standby: Standby
  private let told = Monitor(Told())
  private let thread = Monitor<NamedThread?>(nil)

  /// What a proof needs of its session.
  struct Pass: Sendable {
    let service: TargetService
    let conversation: Conversation
    let desk: ProofDesk
    let peer: String
    /// Of the pass, for the board.
    let running: VMStatus.Running
  }

  init(_ pass: Pass, standby: Standby, point: RecoveryPoint, name: String, request: ProofRequest?) {
    self.pass = pass
    self.standby = standby
    self.point = point
    self.name = name
    self.request = request
  }

  func start() throws(PassError) {
    let running = try NamedThread.ofPass("proof") { self.run() }
    thread.withLock { $0 = running }
  }

  /// The source's claim is here; throws when it is not about this point.
  func take(_ proof: Proof) throws(PassError) {
    do throws(ProtocolError) { try proof.validate(of: point) } catch { throw .wire(error) }
    told.withLock { $0.proof = proof }
  }

  /// Ends the proof where it is, and waits for its thread. After the statement was sent there is nothing to
  /// end.
  func end(because error: PassError) {
    told.withLock { if $0.end == nil { $0.end = error } }
    thread.withLock { thread -> NamedThread? in
      defer { thread = nil }
      return thread
    }?.join()
  }

  // MARK: - The thread

  private func run() {
    do throws(PassError) {
      let (disks, began) = try read()
      let ended = pass.service.time.wallTime()
      let proof = try waitForProof()
      let statement = try makeStatement(proof, disks, readFrom: began, readUntil: ended)
      let path = try pass.desk.keep(statement)
      try note(statement, path)
      // It is kept and noted here, whether the source can still be told or not: it sees that it was not.
      _ = try? pass.conversation.send(Statement(statement.target))
    } catch {
      // Whoever ended the session has told the other side, and the session's thread tells the rest.
      if told.withLock({ $0.end }) == nil { pass.conversation.tell(error) }
      noteFailure(told.withLock { $0.end } ?? error)
      pass.conversation.connection.interrupt()
    }
  }

  private func read() throws(PassError) -> (disks: [ProofClaim.Disk], from: WallTime) {
    let began = pass.service.time.wallTime()
    let total = point.disks.reduce(0) { $0 + $1.grid.sizeBytes }
    var pace = ReadingPace(totalBytes: total, time: pass.service.time)
    noteProgress(Reading(doneBytes: 0, totalBytes: total))
    var disks: [ProofClaim.Disk] = []
    for member in point.disks { disks.append(try read(member, &pace)) }
    return (disks, began)
  }

  private func read(_ member: DiskPoint, _ pace: inout ReadingPace) throws(PassError) -> ProofClaim.Disk {
    var (current, failure): (ReadingPace, PassError?) = (pace, nil)
    defer { pace = current }
    do throws(StandbyError) {
      let found = try standby.readInFull(member.disk, placeLimit: ProofClaim.Disk.placeLimit) { bytes in
        failure = goOn(&current, bytes)
        return failure == nil
      }
      if let found { return ProofClaim.Disk(member, found) }
    } catch {
      switch error {
      // A disk that cannot be opened proves nothing, and the others still do.
      case .diverged, .inUse, .storage: return ProofClaim.Disk(member, cause: "\(error)")
      default: throw .standby(error)
      }
    }
    throw failure ?? .stopping
  }

  private func goOn(_ pace: inout ReadingPace, _ bytes: Int) -> PassError? {
    if let end = told.withLock({ $0.end }) { return end }
    guard let reading = pace.advance(by: bytes) else { return nil }
    noteProgress(reading)
    do throws(PassError) {
      try pass.conversation.send(reading)
      return nil
    } catch { return error }
  }

  /// No deadline of its own: the session's thread ends the wait when the source stands still or leaves.
  private func waitForProof() throws(PassError) -> Proof {
    while true {
      let news = told.wait(seconds: ProtocolTimeouts.readingSeconds) { told -> Result<Proof, PassError>? in
        if let end = told.end { return .failure(end) }
        return told.proof.map { .success($0) }
      }
      if let news { return try news.get() }
    }
  }

  private func makeStatement(
    _ proof: Proof, _ disks: [ProofClaim.Disk], readFrom: WallTime, readUntil: WallTime
  ) throws(PassError) -> ProofStatement {
    let judged = zip(proof.signed.claim.disks, disks).map { source, target in
      var target = target
      target.verdict = ProofClaim.Disk.verdict(source: source, target: target)
      return target
    }
    let claim = ProofClaim(
      .target, point, name: name, disks: judged, readFrom: readFrom, readUntil: readUntil,
      fingerprint: pass.desk.identity.fingerprint,
      answers: SHA256Hasher.hash(Array(proof.signed.claim.signedText.utf8)))
    return try ProofDesk.join(
      source: proof.signed, target: try pass.desk.sign(claim),
      by: pass.conversation.connection.peer.fingerprint, at: .target)
  }
}

/// What the catalog, the board, the log and whoever asked learn of it.
extension TargetProof {
  private func noteProgress(_ reading: Reading) {
    pass.service.board.update(point.vm) { status in
      var running = pass.running
      (running.phase, running.doneBytes, running.totalBytes) = (
        "prove", reading.doneBytes, reading.totalBytes
      )
      (status.running, status.state) = (running, .running)
    }
    guard let request else { return }
    answer(
      ProofAnswer(
        to: request, isDone: false, doneBytes: reading.doneBytes, totalBytes: reading.totalBytes))
  }

  private func note(_ statement: ProofStatement, _ path: String) throws(PassError) {
    let verdict = statement.verdict
    // Before anybody is told: who reads the verdict finds the catalog saying the same.
    do throws(StandbyError) {
      switch verdict {
      case .identical: try standby.markProven(point.reference)
      case .differing: try markSuspect(statement, path)
      case .inconclusive: break
      }
    } catch { throw .standby(error) }
    noteEnd(verdict == .identical ? nil : ProofSentence.text(statement, path: path))
    pass.service.report(.proven(peer: pass.peer, statement, path: path))
    guard let request else { return }
    let total = point.disks.reduce(0) { $0 + $1.grid.sizeBytes }
    answer(
      ProofAnswer(
        to: request, isDone: true, doneBytes: total, totalBytes: total, verdict: verdict, statementPath: path)
    )
  }

  private func markSuspect(_ statement: ProofStatement, _ path: String) throws(StandbyError) {
    let disk = statement.target.claim.disks.first { $0.verdict == .differing }
    try standby.markSuspect(
      disk: disk?.disk, pageCount: disk?.differing?.pages ?? 0,
      detail: ProofSentence.text(statement, path: path))
  }

  private func noteFailure(_ error: PassError) {
    noteEnd(error.isOrderlyEnd ? nil : "the proof is inconclusive: \(error)")
    pass.service.report(.notProven(vm: SafeText.printable(name), peer: pass.peer, error))
    guard let request else { return }
    answer(ProofAnswer(to: request, isDone: true, verdict: .inconclusive, detail: "\(error)"))
  }

  /// `trouble` is what a person should look at.
  private func noteEnd(_ trouble: String?) {
    let now = pass.service.time.wallTime()
    let catalog = standby.catalog
    pass.service.board.update(point.vm) { status in
      status.running = nil
      if let trouble {
        status.state = .failing
        status.lastFailure = VMStatus.Failure(
          at: now, phase: "prove", cause: trouble, remedy: .abandonPass)
      }
      status.describe(catalog, isSettling: false)
    }
    pass.service.keepStatus(point.vm)
  }

  /// Whoever waits sees it; the statement and the catalog do not depend on it.
  private func answer(_ answer: ProofAnswer) {
    do throws(StandbyError) { try standby.answer(answer) } catch {
      pass.service.report(.notProven(vm: SafeText.printable(name), peer: pass.peer, .standby(error)))
    }
  }
}
