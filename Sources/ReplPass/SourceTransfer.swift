import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource

/// The part of a pass between accept and goodbye: scan, send, commit. One thread receives meanwhile.
final class SourceTransfer: Sendable {
  private let pass: SourcePass
  private let stream: BatchStream
  private let offer: Offer
  private let accept: Accept
  private var conversation: Conversation { stream.conversation }
  private var window: SendWindow { stream.window }

  init(pass: SourcePass, stream: BatchStream, offer: Offer, accept: Accept) {
    self.pass = pass
    self.stream = stream
    self.offer = offer
    self.accept = accept
  }

  /// The new point, and what kept the receiver from saying that the standby disk is at it.
  /// It says goodbye after that, unless it `stays` for a proof.
  func run(stays: Bool) throws(PassError) -> (RecoveryPoint, settleFailure: PassError?) {
    try conversation.ending.whileSending(stop: { [stream] in stream.end(because: .stopping) }) {
      () throws(PassError) -> (RecoveryPoint, settleFailure: PassError?) in
      try transfer(stays: stays)
    }
  }

  private func transfer(stays: Bool) throws(PassError) -> (RecoveryPoint, settleFailure: PassError?) {
    let receiver = try NamedThread.ofPass("pass-receive") { self.receiveAnswers() }
    do throws(PassError) {
      let point = try sendAll()
      pass.setPhase("settle")
      let isSettled = window.waitForFinish(
        seconds: ProtocolTimeouts.seconds(in: .committed) ?? ProtocolTimeouts.idleSeconds)
      if !isSettled {
        if let failure = window.failure, failure.isStopping { conversation.tell(failure) }
        conversation.connection.interrupt()
      }
      receiver.join()
      // It is committed: a goodbye that is lost costs nothing.
      if isSettled, !stays { _ = try? conversation.send(Goodbye()) }
      return (point, isSettled ? nil : window.failure)
    } catch { throw stream.fail(error, receiver: receiver) }
  }

  private func sendAll() throws(PassError) -> RecoveryPoint {
    pass.setPhase("send")
    try stream.sendChanges { read, changed in pass.addCounts(read: read, changed: changed) }
    // VMX and NVRAM, where the receiver does not hold these very bytes.
    for kind in accept.filesWanted {
      try stream.send(kind, kind == .vmx ? pass.view.vmx : pass.view.nvram ?? [])
    }
    do throws(SourceError) { try pass.view.checkUnchanged() } catch { throw .source(error) }
    return try commit()
  }

  // MARK: - Commit

  private func commit() throws(PassError) -> RecoveryPoint {
    pass.setPhase("commit")
    let roots = try sealDeltas()
    while true {
      try stream.answerResends { (batch, pages, disk) throws(PassError) in
        try checkSame(batch, pages: pages, disk: disk)
      }
      let commit = makeCommit(roots)
      pass.noteCommitOffered()
      guard try conversation.send(commit: commit) else {
        try window.waitForResend()
        continue
      }
      switch try window.waitForCommit() {
      case .committed(let answer): return try adopt(answer.point, commit)
      case .failed(let error): throw error
      case .resend: continue
      }
    }
  }

  private func makeCommit(_ roots: [Root]) -> Commit {
    let sent = stream.counts
    let claims = offer.disks.indices.map { index in
      Commit.Disk(
        disk: offer.disks[index].disk, root: roots[index], dataPages: sent.dataPages[index],
        zeroPages: sent.zeroPages[index])
    }
    return Commit(disks: claims, batches: sent.batches, resendsAnswered: sent.resendsAnswered)
  }

  /// Durable before the commit is offered: a lost answer must find the delta here.
  private func sealDeltas() throws(PassError) -> [Root] {
    do throws(DigestError) {
      var roots: [Root] = []
      for disk in stream.maps {
        let root = try disk.delta.root()
        if disk.delta.sealedPass == nil { try disk.delta.seal(pass: pass.id, root: root) }
        roots.append(root)
      }
      return roots
    } catch { throw .digest(error) }
  }

  private func adopt(_ point: RecoveryPoint, _ commit: Commit) throws(PassError) -> RecoveryPoint {
    do throws(ProtocolError) {
      let answer = Committed(point: point)
      try answer.validate(answering: offer, commit)
      try answer.validate(after: accept)
    } catch { throw .wire(error) }
    do throws(DigestError) {
      let members = Set(point.disks.map(\.disk))
      for disk in stream.maps where members.contains(disk.delta.format.disk) {
        try disk.delta.merge(as: point.reference)
      }
    } catch { throw .digest(error) }
    return point
  }

  /// What is sent again must be what the sealed delta and its root were made from.
  private func checkSame(_ batch: OutgoingBatch, pages: Range<Int64>, disk index: Int) throws(PassError) {
    let leaf = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
    defer { leaf.deallocate() }
    var loaded: Int64 = -1
    for (page, digest) in zip(pages, batch.pageDigests) {
      let (number, slot) = page.quotientAndRemainder(dividingBy: Int64(PageGrid.pagesPerLeaf))
      if number != loaded {
        do throws(DigestError) { try stream.maps[index].delta.readLeaf(number, into: leaf) } catch {
          throw .digest(error)
        }
        loaded = number
      }
      guard leaf[Int(slot)] == digest else { throw .resent(disk: offer.disks[index].slot, page: page) }
    }
  }

  // MARK: - Receiving

  private func receiveAnswers() {
    stream.receive { (frame) throws(PassError) in
      switch frame.type {
      case .committed:
        let committed = try conversation.decode(Committed.self, frame)
        stream.noteTarget(busyMilliseconds: committed.busyMilliseconds)
        window.note(committed)
        return true
      case .settled:
        window.noteFinished()
        return false
      default: throw conversation.unexpected(frame.type)
      }
    }
  }
}
