import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport

/// One offered pass at the receiver, from the offer to the settled standby; or one seed, to its end.
final class TargetPass {
  let service: TargetService
  let conversation: Conversation
  let standby: Standby
  let offer: Offer
  let peer: String
  let startedAt: WallTime
  var incoming: (any IncomingBatches)?
  var wanted = WantedPages()
  /// The pass is over and well: what the connection does then is no failure of it.
  var isSettled = false
  let lease: Lease
  let agreement: Agreement
  var received: Received
  /// Of a seed: the end of the last run of each disk, which tells how far the source is.
  var seededBytes: [Int64]
  /// The proof after the pass, once the source has begun with its own.
  var proof: TargetProof?
  var proofRequest: ProofRequest?
  var sourceReading: Reading?

  /// What came on this connection.
  struct Received {
    var dataPages: [Int64]
    var zeroPages: [Int64]
    /// Of all of these pages.
    var changedBytes: Int64 = 0
    /// Of the above, those that arrived damaged and were not taken.
    var damagedDataPages: [Int64]
    var damagedZeroPages: [Int64]
    var batches: Int64 = 0
    /// Since the last acknowledgement.
    var unsyncedBytes: Int64 = 0
    var lastSequence: UInt64?
    var lastAckNanoseconds: Int64
    var busy: BusyTime
  }

  init(session: TargetSession, standby: Standby, offer: Offer, agreement: Agreement, lease: Lease) {
    self.lease = lease
    service = session.service
    conversation = session.conversation
    peer = session.peer
    self.standby = standby
    self.offer = offer
    self.agreement = agreement
    startedAt = service.time.wallTime()
    let none = offer.disks.map { _ in Int64(0) }
    seededBytes = none
    received = Received(
      dataPages: none, zeroPages: none, damagedDataPages: none, damagedZeroPages: none,
      lastAckNanoseconds: service.time.monotonicNanoseconds(), busy: BusyTime(time: service.time))
  }

  /// Ends with the peer's goodbye. What was acknowledged is kept for the next try when anything is thrown.
  func run() throws(PassError) {
    let watch = try FailoverWatch(standby: standby, connection: conversation.connection)
    defer {
      watch.end()
      // Also when the pass failed after all: they are gone.
      noteDropped(standby.takeDropped(), overBudgetBytes: 0)
      applyRetention()
    }
    do throws(PassError) {
      try accept()
      while try handle(try receive()) {}
      endProof(because: .proof(.left))
      try suspend()
      if !isSettled { noteLeft() }
      // All of it is durable, this says.
      // A source that is gone learns the same from the next answer.
      if offer.purpose == .seed { _ = try? conversation.send(Goodbye(reason: "kept")) }
    } catch {
      let error = watch.reason ?? conversation.meaning(of: error)
      endProof(because: error)
      if !isSettled { noteFailure(error) }
      // The first fault is the one to tell; what suspending finds is found again by the next pass.
      try? suspend()
      throw error
    }
  }

  private func receive() throws(PassError) -> Frame {
    let began = service.time.monotonicNanoseconds()
    defer { received.busy.noteWait(since: began) }
    return try conversation.receive { () throws(PassError) in try acknowledgeIfDue() }
  }

  private func suspend() throws(PassError) {
    guard let incoming else { return }
    self.incoming = nil
    try storing { () throws(StandbyError) in try incoming.suspend() }
  }

  // MARK: - Offer

  private func accept() throws(PassError) {
    let newest = standby.catalog.newest
    let isCommitted = offer.purpose == .pass && newest?.pass == offer.pass
    guard !isCommitted || standby.catalog.owner == peer else {
      throw .standby(.notYours(vm: offer.vm, owner: standby.catalog.owner, peer: peer))
    }
    var disks: [Accept.Disk] = []
    var files: [FileKind] = []
    if isCommitted, let newest {
      // The answer to this very pass was lost: nothing is begun, the sender only learns of its point.
      disks = offer.disks.map { disk in
        let root = newest.disks.first { $0.disk == disk.disk }?.root ?? .zero
        return Accept.Disk(disk: disk.disk, mode: .incremental, effectiveRoot: root)
      }
    } else if let newest, try waitsForReading(newest) {
      disks = unreadAnswer(newest)
    } else {
      let incoming = try begin()
      self.incoming = incoming
      for (index, disk) in offer.disks.enumerated() {
        let root = try digesting { () throws(DigestError) in try incoming.digestView(disk: index).root() }
        let mode: Accept.Mode = incoming.isSeeding(disk: index) ? .seed : .incremental
        disks.append(Accept.Disk(disk: disk.disk, mode: mode, effectiveRoot: root))
      }
      files = ((incoming as? IncomingPass)?.filesWanted ?? []).map { $0 == .vmx ? .vmx : .nvram }
    }
    let budget = try storing { () throws(StandbyError) in try standby.journalBudgetBytes() }
    var answer = Accept(
      receiver: service.receiver, standbyKnown: newest != nil,
      newest: newest.map {
        .init(reference: $0.reference, pass: $0.pass, frozenAt: $0.frozenAt, disks: $0.disks.map(\.disk))
      },
      epoch: standby.catalog.epoch, disks: disks, filesWanted: files, journalBudgetBytes: budget,
      windowBytes: TargetSettings.windowBytes)
    if incoming != nil { answer.wantsProof = wantsProof() }
    try conversation.send(answer)
    if isCommitted, let newest { noteSettled(newest) } else { noteRunning(runningPhase) }
  }

  /// Whether the pass would have to wait until an added disk is read again, or until points have ended that
  /// need what is there of a disk that comes back. The source is told at once that nothing is known of the
  /// disk: it leaves it to the sessions between its passes.
  private func waitsForReading(_ newest: RecoveryPoint) throws(PassError) -> Bool {
    guard offer.purpose == .pass, agreement.features.contains(.seed),
      newest.disks.contains(where: { member in offer.disks.contains { $0.disk == member.disk } }),
      !(try beginsAtOnce())
    else { return false }
    try storing { () throws(StandbyError) in try standby.checkPass(offered) }
    return true
  }

  private func beginsAtOnce() throws(PassError) -> Bool {
    for disk in offered.disks {
      guard standby.knowsContent(of: disk),
        try storing({ () throws(StandbyError) in try standby.mayBegin(disk) })
      else { return false }
    }
    return true
  }

  /// Nothing is begun with it: the source offers the pass again.
  private func unreadAnswer(_ newest: RecoveryPoint) -> [Accept.Disk] {
    offer.disks.map { disk in
      let member = newest.disks.first { $0.disk == disk.disk }
      return Accept.Disk(
        disk: disk.disk, mode: member == nil ? .seed : .incremental, effectiveRoot: member?.root ?? .zero)
    }
  }

  private var offered: PassOffer {
    let disks = offer.disks.map {
      PassOffer.Disk(disk: $0.disk, slot: $0.slot, grid: $0.grid, keyID: $0.keyID, facts: $0.facts)
    }
    return PassOffer(
      vm: offer.vm, displayName: offer.displayName, owner: peer, pass: offer.pass, frozenAt: offer.frozenAt,
      label: offer.label, epoch: offer.epoch, disks: disks, vmxHash: offer.vmxHash, nvramHash: offer.nvramHash
    )
  }

  private func begin() throws(PassError) -> any IncomingBatches {
    guard offer.purpose == .seed else {
      return try storing { () throws(StandbyError) in try standby.beginPass(offered) }
    }
    try checkSeed()
    return try storing { () throws(StandbyError) in
      try standby.beginSeed(offered, readingSeconds: TargetSettings.readingSeconds)
    }
  }

  /// Said with a number of its own, so that the sender learns that it is mistaken about the newest point.
  private func checkSeed() throws(PassError) {
    guard let newest = standby.catalog.newest else {
      throw .notSeeding(offer.vm, detail: "it has no recovery point yet")
    }
    for disk in newest.disks where offer.disks.contains(where: { $0.disk == disk.disk }) {
      throw .notSeeding(offer.vm, detail: "recovery point \(newest.reference) holds disk \(disk.disk)")
    }
  }

  var runningPhase: String { offer.purpose == .seed ? "seed" : "receive" }

  // MARK: - Messages

  /// False after the goodbye.
  private func handle(_ frame: Frame) throws(PassError) -> Bool {
    switch frame.type {
    case .nodesRequest: try answerNodes(try conversation.decode(NodesRequest.self, frame))
    case .leavesRequest: try answerLeaves(try conversation.decode(LeavesRequest.self, frame))
    case .batch: try take(batch: frame)
    case .file: try take(file: frame)
    case .commit: try commit(try conversation.decode(Commit.self, frame))
    case .reading: try take(reading: try conversation.decode(Reading.self, frame))
    case .proof: try take(proof: try conversation.decode(Proof.self, frame))
    case .goodbye: return false
    default: throw conversation.unexpected(frame.type)
    }
    return true
  }

  private func batches() throws(PassError) -> any IncomingBatches {
    guard let incoming else { throw conversation.unexpected(.batch) }
    return incoming
  }

  /// What takes files and the commit. The session's states let neither come to a seed.
  func pass(for message: MessageType) throws(PassError) -> IncomingPass {
    guard let pass = incoming as? IncomingPass else { throw conversation.unexpected(message) }
    return pass
  }

  private func answerNodes(_ request: NodesRequest) throws(PassError) {
    do throws(ProtocolError) { try request.validate(disks: offer.grids) } catch { throw .wire(error) }
    let view = try batches().digestView(disk: request.disk)
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
    let view = try batches().digestView(disk: request.disk)
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
    if received.batches == 0 { received.busy = BusyTime(time: service.time) }
    let (dataPages, zeroPages) = try received.count(batch, grid: offer.grids[batch.diskIndex])
    let incoming = try batches()
    do throws(StandbyError) {
      try incoming.append(
        ReceivedBatch(
          diskIndex: batch.diskIndex, codec: batch.codec, runs: batch.runs, rawLength: batch.rawLength,
          digest: batch.digest, payload: payload))
      wanted.arrived(batch.runs, disk: batch.diskIndex)
      noteArrived(batch)
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
