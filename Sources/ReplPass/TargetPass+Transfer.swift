import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport

/// Acknowledging, asking again, committing.
extension TargetPass {
  func acknowledgeNowAndThen(_ frame: Frame) throws(PassError) {
    received.unsyncedBytes += Int64(frame.payload.count)
    received.lastSequence = frame.sequence
    try acknowledgeIfDue()
  }

  /// Makes what came durable and says so, once a span is full or old enough. Also asked when a heartbeat
  /// comes: what follows may be hours away on a large disk without changes.
  func acknowledgeIfDue() throws(PassError) {
    let elapsed = service.time.monotonicNanoseconds() - received.lastAckNanoseconds
    let isDue =
      received.unsyncedBytes >= TargetSettings.spanBytes
      || elapsed >= Int64(TargetSettings.spanSeconds * 1e9)
    guard isDue, received.unsyncedBytes > 0 else { return }
    try acknowledge()
    noteRunning(runningPhase)
  }

  private func acknowledge() throws(PassError) {
    guard let incoming, let sequence = received.lastSequence, received.unsyncedBytes > 0 else { return }
    try storing { () throws(StandbyError) in try incoming.sync() }
    try checkFloor()
    try conversation.send(Ack(sequence: sequence, busyMilliseconds: received.busy.milliseconds))
    received.unsyncedBytes = 0
    received.lastAckNanoseconds = service.time.monotonicNanoseconds()
  }

  /// The floor holds while a pass writes, too: one large pass must not fill the store for all VMs.
  private func checkFloor() throws(PassError) {
    let above = try storing { () throws(StandbyError) in try standby.freeBytesAboveFloor() }
    guard above > 0 else {
      throw .standby(.outOfSpace(path: standby.path, neededBytes: nil, freeBytes: above))
    }
  }

  func take(file frame: Frame) throws(PassError) {
    let (kind, contents): (FileKind, UnsafeRawBufferPointer)
    do throws(ProtocolError) { (kind, contents) = try FileMessage.decode(frame.payload) } catch {
      throw .wire(error)
    }
    let incoming = try pass(for: .file)
    try storing { () throws(StandbyError) in
      try incoming.append(kind == .vmx ? .vmx : .nvram, Array(contents))
    }
    try acknowledgeNowAndThen(frame)
  }

  /// A batch that arrived damaged: its pages are asked for again, a few times.
  func askAgain(_ batch: Batch, because error: StandbyError) throws(PassError) {
    // A source that does not know the request would end the session for it.
    guard agreement.features.contains(.resend) else { throw .standby(error) }
    let times = wanted.ask(batch.runs, disk: batch.diskIndex)
    guard times <= TargetSettings.resendLimit, !wanted.isTooMuch, batch.rawLength > 0 else {
      throw .standby(error)
    }
    let pages = batch.runs.map { Resend.Pages(first: $0.firstPage, count: $0.pageCount) }
    try conversation.send(Resend(disk: batch.diskIndex, pages: pages))
  }

  func commit(_ commit: Commit) throws(PassError) {
    do throws(ProtocolError) { try commit.validate(answering: offer) } catch { throw .wire(error) }
    if commit.isVoid(resendsSent: wanted.resendsSent) {
      conversation.ignoreVoidCommit()
      return
    }
    let incoming = try pass(for: .commit)
    try checkCounts(commit)
    noteRunning("commit")
    // The standby counts what it took; what arrived damaged was not taken and came again.
    let claims = CommitClaims(
      disks: commit.disks.enumerated().map { index, disk in
        CommitClaims.Disk(
          root: disk.root, dataPages: disk.dataPages - received.damagedDataPages[index],
          zeroPages: disk.zeroPages - received.damagedZeroPages[index])
      })
    let point = try storing { () throws(StandbyError) in try incoming.commit(claims) }
    // The point exists, whether the sender can still be told or not: nothing below depends on the connection.
    var untold: PassError?
    let committed = Committed(point: point, busyMilliseconds: received.busy.milliseconds)
    do throws(PassError) { try conversation.send(committed) } catch { untold = error }
    noteCommitted(point)
    noteRunning("settle")
    _ = try storing { () throws(StandbyError) in try incoming.settle() }
    self.incoming = nil
    isSettled = true
    noteSettled(point)
    if let untold { throw untold }
    try conversation.send(Settled(reference: point.reference))
  }

  /// Drops what is not kept any more, when the sender has left: it does not wait for what this may take.
  func applyRetention() {
    guard isSettled, offer.purpose == .pass else { return }
    do throws(StandbyError) {
      let report = try standby.applyRetention()
      noteDropped(report.dropped, overBudgetBytes: report.overBudgetBytes)
    } catch {
      service.report(.retentionFailed(vm: SafeText.printable(standby.catalog.displayName), error))
    }
  }

  private func checkCounts(_ commit: Commit) throws(PassError) {
    guard wanted.isEmpty, commit.batches == received.batches else {
      throw .wire(
        .value(
          .commit, field: "batches", found: "\(commit.batches)", expected: "\(received.batches), none damaged"
        ))
    }
    for (index, disk) in commit.disks.enumerated() {
      let found = (disk.dataPages, disk.zeroPages)
      let expected = (received.dataPages[index], received.zeroPages[index])
      guard found == expected else {
        throw .wire(
          .value(
            .commit, field: "disks.\(index)", found: "\(found.0) data and \(found.1) zero pages",
            expected: "\(expected.0) and \(expected.1)"))
      }
    }
  }
}
