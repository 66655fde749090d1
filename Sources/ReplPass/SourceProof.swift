import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource

/// How a proof that was asked for ended.
public enum ProofOutcome: Sendable {
  /// Both sides have read everything; the statement says what they found.
  case statement(ProofStatement, path: String)
  /// It did not come to its end. The recovery point exists all the same.
  case failed(PassError)

  /// What is known of the copy.
  public var verdict: ProofVerdict {
    switch self {
    case .statement(let statement, _): statement.verdict
    case .failed: .inconclusive
    }
  }
}

/// The proof after a pass, at the source: reads the frozen view again while the target reads its disks, and
/// exchanges signed claims. Believes no map and no hint. One thread receives meanwhile.
final class SourceProof: Sendable {
  private let conversation: Conversation
  private let view: VMView
  private let point: RecoveryPoint
  private let maps: [SourceDiskMaps]
  private let key: DigestKey
  private let desk: ProofDesk
  private let stop: StopSignal
  private let time: any TimeSource
  private let progress: @Sendable (_ doneBytes: Int64, _ totalBytes: Int64) -> Void
  private let heard = Monitor(Heard())

  /// What the target has said.
  private struct Heard {
    var reading: Reading?
    var statement: Statement?
    var failure: PassError?
  }

  /// `maps` are those of the pass that brought `point`, merged. `progress` is told how much of the view is
  /// read.
  init(
    _ conversation: Conversation, view: VMView, point: RecoveryPoint, maps: [SourceDiskMaps], key: DigestKey,
    desk: ProofDesk, stop: StopSignal, time: any TimeSource,
    progress: @escaping @Sendable (_ doneBytes: Int64, _ totalBytes: Int64) -> Void
  ) {
    self.conversation = conversation
    self.view = view
    self.point = point
    self.maps = maps
    self.key = key
    self.desk = desk
    self.stop = stop
    self.time = time
    self.progress = progress
  }

  /// Ends the session, with a goodbye where all went well.
  func run() -> ProofOutcome {
    do throws(PassError) {
      guard view.label != .fuzzy else { throw .proof(.fuzzyView) }
      let outcome = try prove()
      // Both have the statement: a goodbye that is lost costs nothing.
      _ = try? conversation.send(Goodbye())
      return outcome
    } catch {
      let error = stop.isSet ? .stopping : error
      // Whoever asked at the target learns why; where the connection is gone, nobody does.
      conversation.tell(error)
      return .failed(error)
    }
  }

  private func prove() throws(PassError) -> ProofOutcome {
    let total = point.disks.reduce(0) { $0 + $1.grid.sizeBytes }
    try conversation.send(Reading(doneBytes: 0, totalBytes: total))
    let receiver = try NamedThread.ofPass("proof-receive") { self.receive() }
    defer { receiver.join() }
    do throws(PassError) {
      let proof = Proof(try desk.sign(try read(total)))
      try conversation.send(proof)
      progress(total, total)
      let statement = try waitForStatement()
      do throws(ProtocolError) { try statement.validate(of: point, answering: proof) } catch {
        throw .wire(error)
      }
      let joined = try ProofDesk.join(
        source: proof.signed, target: statement.signed, by: conversation.connection.peer.fingerprint,
        at: .source)
      return .statement(joined, path: try desk.keep(joined))
    } catch {
      // A connection that cannot send any more may still hold the target's reason.
      var reason: PassError?
      if case .transport = error { reason = heard.wait(seconds: 2) { $0.failure } }
      conversation.tell(stop.isSet ? .stopping : error)
      conversation.connection.interrupt()
      throw reason ?? error
    }
  }

  // MARK: - Reading

  private func read(_ total: Int64) throws(PassError) -> ProofClaim {
    let began = time.wallTime()
    var pace = ReadingPace(totalBytes: total, time: time)
    var disks: [ProofClaim.Disk] = []
    for member in point.disks { disks.append(try read(member, &pace)) }
    do throws(SourceError) { try view.checkUnchanged() } catch { throw .source(error) }
    return ProofClaim(
      .source, point, name: view.displayName, disks: disks, readFrom: began, readUntil: time.wallTime(),
      fingerprint: desk.identity.fingerprint)
  }

  private func read(_ member: DiskPoint, _ pace: inout ReadingPace) throws(PassError) -> ProofClaim.Disk {
    guard let disk = view.disks.first(where: { $0.id == member.disk }),
      disk.image.sizeBytes == member.grid.sizeBytes
    else { return ProofClaim.Disk(member, cause: "the view has no such disk") }
    let map = maps.first { $0.base.format.disk == member.disk }?.base
    var (current, failure): (ReadingPace, PassError?) = (pace, nil)
    defer { pace = current }
    do throws(DigestError) {
      let reading = try FullReading(
        disk.image, grid: member.grid, key: key, placeLimit: ProofClaim.Disk.placeLimit)
      let found = try reading.run(comparing: map) { bytes in
        failure = goOn(&current, bytes)
        return failure == nil
      }
      if let found { return ProofClaim.Disk(member, found) }
    } catch { throw .digest(error) }
    throw failure ?? .stopping
  }

  /// Called for every part that was read; an error ends the reading.
  private func goOn(_ pace: inout ReadingPace, _ bytes: Int) -> PassError? {
    if stop.isSet { return .stopping }
    if let failure = heard.withLock({ $0.failure }) { return failure }
    guard let reading = pace.advance(by: bytes) else { return nil }
    progress(reading.doneBytes, reading.totalBytes)
    do throws(PassError) {
      try conversation.send(reading)
      return nil
    } catch { return error }
  }

  // MARK: - The target's answers

  private func receive() {
    do throws(PassError) {
      var last: Reading?
      while true {
        let frame = try conversation.receive()
        switch frame.type {
        case .reading:
          let reading = try conversation.decode(Reading.self, frame)
          do throws(ProtocolError) { try reading.validate(after: last) } catch { throw .wire(error) }
          last = reading
          heard.withLock { $0.reading = reading }
        case .statement:
          let statement = try conversation.decode(Statement.self, frame)
          heard.withLock { $0.statement = statement }
          return
        case .goodbye: throw .proof(.left)
        default: throw conversation.unexpected(frame.type)
        }
      }
    } catch {
      heard.withLock { $0.failure = error }
    }
  }

  /// As long as the target gets on it may take its time: a disk of many terabytes is read for hours.
  private func waitForStatement() throws(PassError) -> Statement {
    let seconds = ProtocolTimeouts.readingSeconds
    var seen = heard.withLock { $0.reading }
    while true {
      let news = heard.wait(seconds: seconds) { heard -> Result<Statement?, PassError>? in
        if let statement = heard.statement { return .success(statement) }
        if let failure = heard.failure { return .failure(failure) }
        return heard.reading == seen ? nil : .success(nil)
      }
      guard let news else { throw .timedOut("the target's reading of its disks", seconds: seconds) }
      if let statement = try news.get() { return statement }
      seen = heard.withLock { $0.reading }
    }
  }
}
