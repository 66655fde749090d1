import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport

/// One offered pass at the receiver, from the offer to the settled standby.
final class TargetPass {
  let service: TargetService
  let conversation: Conversation
  let standby: Standby
  let offer: Offer
  let peer: String
  let startedAt: WallTime
  var incoming: IncomingPass?
  var wanted = WantedPages()
  private(set) var changedBytes: Int64 = 0
  /// The pass is over and well: what the connection does then is no failure of it.
  var isSettled = false
  private let agreement: Agreement
  var received: Received

  /// What came on this connection.
  struct Received {
    var dataPages: [Int64]
    var zeroPages: [Int64]
    /// Of the above, those that arrived damaged and were not taken.
    var damagedDataPages: [Int64]
    var damagedZeroPages: [Int64]
    var batches: Int64 = 0
    /// Since the last acknowledgement.
    var unsyncedBytes: Int64 = 0
    var lastSequence: UInt64?
    var lastAckNanoseconds: Int64
  }

  init(session: TargetSession, standby: Standby, offer: Offer, agreement: Agreement) {
    service = session.service
    conversation = session.conversation
    peer = session.peer
    self.standby = standby
    self.offer = offer
    self.agreement = agreement
    startedAt = service.time.wallTime()
    let none = offer.disks.map { _ in Int64(0) }
    received = Received(
      dataPages: none, zeroPages: none, damagedDataPages: none, damagedZeroPages: none,
      lastAckNanoseconds: service.time.monotonicNanoseconds())
  }

  /// Ends with the peer's goodbye. What was acknowledged is kept for the next try when anything is thrown.
  func run() throws(PassError) {
    let watch = FailoverWatch(standby: standby, connection: conversation.connection)
    defer { watch.end() }
    do throws(PassError) {
      try accept()
      while try handle(try conversation.receive()) {}
      try suspend()
    } catch {
      let error = watch.reason ?? error
      if !isSettled { noteFailure(error) }
      // The first fault is the one to tell; what suspending finds is found again by the next pass.
      try? suspend()
      throw error
    }
  }

  private func suspend() throws(PassError) {
    guard let incoming else { return }
    self.incoming = nil
    try storing { () throws(StandbyError) in try incoming.suspend() }
  }

  // MARK: - Offer

  private func accept() throws(PassError) {
    let newest = standby.catalog.newest
    let isCommitted = newest?.pass == offer.pass
    var disks: [Accept.Disk] = []
    var files: [FileKind] = []
    if isCommitted, let newest {
      // The answer to this very pass was lost: nothing is begun, the sender only learns of its point.
      disks = offer.disks.map { disk in
        let root = newest.disks.first { $0.disk == disk.disk }?.root ?? .zero
        return Accept.Disk(disk: disk.disk, mode: .incremental, effectiveRoot: root)
      }
    } else {
      let incoming = try begin()
      self.incoming = incoming
      for (index, disk) in offer.disks.enumerated() {
        let root = try digesting { () throws(DigestError) in try incoming.digestView(disk: index).root() }
        let mode: Accept.Mode = incoming.isSeeding(disk: index) ? .seed : .incremental
        disks.append(Accept.Disk(disk: disk.disk, mode: mode, effectiveRoot: root))
      }
      files = incoming.filesWanted.map { $0 == .vmx ? .vmx : .nvram }
    }
    let budget = try storing { () throws(StandbyError) in try standby.freeBytesAboveFloor() }
    try conversation.send(
      Accept(
        receiver: service.receiver, standbyKnown: newest != nil,
        newest: newest.map { .init(reference: $0.reference, pass: $0.pass, frozenAt: $0.frozenAt) },
        epoch: standby.catalog.epoch, disks: disks, filesWanted: files, journalBudgetBytes: budget,
        windowBytes: TargetSettings.windowBytes))
    if isCommitted, let newest { noteSettled(newest) } else { noteRunning("receive") }
  }

  private func begin() throws(PassError) -> IncomingPass {
    let disks = offer.disks.map {
      PassOffer.Disk(disk: $0.disk, slot: $0.slot, grid: $0.grid, keyID: $0.keyID, facts: $0.facts)
    }
    let offered = PassOffer(
      vm: offer.vm, displayName: offer.displayName, owner: peer, pass: offer.pass, frozenAt: offer.frozenAt,
      label: offer.label, epoch: offer.epoch, disks: disks, vmxHash: offer.vmxHash, nvramHash: offer.nvramHash
    )
    return try storing { () throws(StandbyError) in try standby.beginPass(offered) }
  }

  // MARK: - Messages

  /// False after the goodbye.
  private func handle(_ frame: Frame) throws(PassError) -> Bool {
    switch frame.type {
    case .nodesRequest: try answerNodes(try conversation.decode(NodesRequest.self, frame))
    case .leavesRequest: try answerLeaves(try conversation.decode(LeavesRequest.self, frame))
    case .batch: try take(batch: frame)
    case .file: try take(file: frame)
    case .commit: try commit(try conversation.decode(Commit.self, frame))
    case .goodbye: return false
    default: throw conversation.unexpected(frame.type)
    }
    return true
  }

  private func pass() throws(PassError) -> IncomingPass {
    guard let incoming else { throw conversation.unexpected(.batch) }
    return incoming
  }

  private func answerNodes(_ request: NodesRequest) throws(PassError) {
    do throws(ProtocolError) { try request.validate(disks: offer.grids) } catch { throw .wire(error) }
    let view = try pass().digestView(disk: request.disk)
    let nodes = try digesting { () throws(DigestError) in
      try view.nodes(level: request.level, first: request.first, count: request.count)
    }
    let payload: [UInt8]
    do throws(ProtocolError) { payload = try TreeAnswer.encode(nodes: nodes, answering: request) } catch {
      throw .wire(error)
    }
    try conversation.send(.nodes, prefix: payload)
  }

  private func answerLeaves(_ request: LeavesRequest) throws(PassError) {
    do throws(ProtocolError) { try request.validate(disks: offer.grids) } catch { throw .wire(error) }
    let view = try pass().digestView(disk: request.disk)
    let body = try digesting { () throws(DigestError) in
      try LeafBytes.read(view, first: request.first, count: request.count)
    }
    let header = TreeAnswer(answering: request).encodeHeader()
    var failure: PassError?
    body.withUnsafeBytes { body in
      do throws(PassError) { try conversation.send(.leaves, prefix: header, body: body) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  private func take(batch frame: Frame) throws(PassError) {
    let batch: Batch
    do throws(ProtocolError) {
      batch = try BatchMessage.decode(
        frame.payload, disks: offer.grids, codecs: agreement.codecs, limits: agreement.limits)
    } catch { throw .wire(error) }
    let payload = UnsafeRawBufferPointer(rebasing: frame.payload[batch.payload])
    let zeroPages = batch.runs.reduce(0) { $0 + ($1.kind == .zero ? $1.pageCount : 0) }
    let dataPages = batch.runs.reduce(0) { $0 + ($1.kind == .data ? $1.pageCount : 0) }
    received.batches += 1
    received.dataPages[batch.diskIndex] += dataPages
    received.zeroPages[batch.diskIndex] += zeroPages
    changedBytes += (dataPages + zeroPages) * Int64(offer.disks[batch.diskIndex].grid.pageSizeBytes)
    let incoming = try pass()
    do throws(StandbyError) {
      try incoming.append(
        ReceivedBatch(
          diskIndex: batch.diskIndex, codec: batch.codec, runs: batch.runs, rawLength: batch.rawLength,
          digest: batch.digest, payload: payload))
      wanted.arrived(batch.runs, disk: batch.diskIndex)
    } catch {
      guard case .damagedBatch = error else { throw .standby(error) }
      received.damagedDataPages[batch.diskIndex] += dataPages
      received.damagedZeroPages[batch.diskIndex] += zeroPages
      try askAgain(batch, because: error)
    }
    try acknowledgeNowAndThen(frame)
  }
}

private func digesting<Value>(_ body: () throws(DigestError) -> Value) throws(PassError) -> Value {
  do throws(DigestError) { return try body() } catch { throw .digest(error) }
}
