import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import ReplTransport
import Synchronization

/// One pass at the sender: brings the standby of one VM to the state of one view.
///
/// A connection that is cut is taken up again while the view lives: from the position up to which everything
/// is acknowledged, sending nothing that the receiver holds already. Disks that were added to a VM which has
/// a recovery point already are left out (`Report.deferred`) until a `SeedSession` has brought them. Blocks;
/// runs on a thread of its own.
public final class SourcePass: Sendable {
  let id = PassID.random()
  let view: VMView
  let settings: SourceSettings
  let state: SourceState
  let stop: StopSignal
  let time: any TimeSource
  private let selection: PassSelection
  private let link: SourceLink
  private let progress: @Sendable (VMStatus.Running) -> Void
  private let onCommitted: @Sendable (Report) -> Void
  private let wantsProof: Bool
  private let hints: ViewHints?
  private let startedAt: WallTime
  private let freezeSeconds: Double
  private let times: StageTimes
  private let isLate: @Sendable () -> Bool
  private let shared: Mutex<Shared>

  private struct Shared {
    var clock: PhaseClock
    var readBytes: Int64 = 0
    var changedBytes: Int64 = 0
    /// Scanned, found changed, and not at the receiver yet.
    var pendingBytes: Int64 = 0
    var lastEpoch: Epoch?
    /// A commit may have reached the receiver: only then can it hold the pass already.
    var isCommitOffered = false
    /// How much of the view is read again.
    var proof: (doneBytes: Int64, totalBytes: Int64)?
  }

  /// `freezeSeconds` is how long the view took to come, for the account of where the time went.
  /// `isLate` tells, a few times a second, whether the pass ends after its RPO is broken as it goes: speed
  /// counts more than bytes on the wire then.
  /// `onTrouble` is called for every connection that failed and is tried again. `progress` is called from the
  /// pass's threads, a few times a second at most. `onCommitted` is told of the point as soon as it exists; a
  /// proof, which `wantsProof` or the receiver asks for, may take hours after that.
  public init(
    view: VMView, settings: SourceSettings, state: SourceState, lastEpoch: Epoch?, stop: StopSignal,
    wantsProof: Bool = false, hints: ViewHints? = nil, freezeSeconds: Double = 0, time: any TimeSource,
    isLate: @escaping @Sendable () -> Bool = { false },
    progress: @escaping @Sendable (VMStatus.Running) -> Void,
    onCommitted: @escaping @Sendable (Report) -> Void = { _ in },
    onTrouble: @escaping @Sendable (PassError) -> Void = { _ in }
  ) {
    self.view = view
    self.settings = settings
    self.state = state
    self.stop = stop
    self.time = time
    self.progress = progress
    self.onCommitted = onCommitted
    self.wantsProof = wantsProof
    self.hints = hints
    selection = PassSelection(view: view, settings: settings, state: state)
    link = SourceLink(settings: settings, onTrouble: onTrouble)
    startedAt = time.wallTime()
    self.freezeSeconds = freezeSeconds
    times = StageTimes(time: time)
    self.isLate = isLate
    shared = Mutex(
      Shared(clock: PhaseClock("connect", now: time.monotonicNanoseconds()), lastEpoch: lastEpoch))
  }

  /// What a committed pass says of itself.
  public struct Report: Sendable {
    public let point: RecoveryPoint
    public let pass: VMStatus.Pass
    /// Disks of the view that the point does not hold: they were added, and their first copy is not done. A
    /// `SeedSession` goes on with it.
    public let deferred: [DiskID]
    /// What kept the receiver from saying that the standby disk itself is at the point; nil when it did say
    /// so. The point exists all the same, in the receiver's journal.
    public let settleFailure: PassError?
    /// Whether the receiver said that the standby disk itself is at the point.
    public var isSettled: Bool { settleFailure == nil }
    /// Whether it never will be: somebody else wrote the disk.
    public var isDiverged: Bool {
      guard case .wire(.peer(let number, _, _)) = settleFailure else { return false }
      return number == ErrorNumber.diverged.rawValue
    }
    /// How long the phases of the pass took, seconds: until the first byte of data, sending, committing with
    /// settling.
    public let phases: (begin: Double, send: Double, commit: Double)
    /// Nil when nobody asked for a proof.
    public internal(set) var proof: ProofOutcome?
  }

  /// Runs the pass to its commit.
  public func run() throws(PassError) -> Report {
    if let hints {
      setPhase("compare")
      hints.prepare(pageSizeBytes: settings.pageSizeBytes)
    }
    while true {
      let report = try link.retrying { () -> Int64 in
        selection.current.tracker.rewind()
        return selection.current.tracker.position
      } pause: { (seconds) throws(PassError) in
        guard stop.pause(seconds: seconds) else { throw .stopping }
        do throws(SourceError) { try view.checkUnchanged() } catch { throw .source(error) }
      } _: { () throws(PassError) -> Report? in
        try attempt()
      }
      // Nil: offered again with other disks, which is no failure.
      if let report {
        selection.remember(report.point)
        return report
      }
    }
  }

  /// One connection. Nil when the pass is to be offered with other disks.
  private func attempt() throws(PassError) -> Report? {
    setPhase("connect")
    do throws(PassError) {
      return try link.connected(stop: stop, interrupt: stop) { (conversation) throws(PassError) -> Report? in
        try converse(conversation)
      }
    } catch {
      if stop.isSet { throw .stopping }
      if error.remedy == .retryPass, view.label == .fuzzy { throw .fuzzyInterrupted("\(error)") }
      throw error
    }
  }

  private func converse(_ conversation: Conversation) throws(PassError) -> Report? {
    let greeting = SourceGreeting(conversation: conversation, state: state, settings: settings, time: time)
    let (agreement, key) = try greeting.run()
    if wantsProof, !agreement.features.contains(.proof) { throw .proof(.notSpoken(peer: "receiver")) }
    let source = selection.disks(agreement.features)
    let offer = makeOffer(source, key)
    let accept = try conversation.offer(offer)
    shared.withLock { $0.lastEpoch = accept.epoch }
    let isCommitted = accept.isCommitted(offer)
    if isCommitted, let newest = accept.newest {
      try checkCommitWasOffered()
      do throws(ProtocolError) { try newest.validate(committing: offer) } catch { throw .wire(error) }
    } else {
      guard try selection.agrees(with: accept, agreement.features) else {
        try conversation.send(Goodbye(reason: "offered again with other disks"))
        return nil
      }
    }
    let maps = try source.openMaps(accept, key: key, vm: view.vm, in: state, isCommitted: isCommitted)
    if isCommitted, let newest = accept.newest {
      // The answer to the commit was lost; opening the maps has adopted it.
      try checkAdopted(maps, accept: accept, newest: newest)
      return try finishAdopted(conversation, offer: offer, accept: accept, newest: newest)
    }
    setPhase("compare")
    let stream = BatchStream(
      source, try source.align(maps, accept, conversation, hints: hints), maps: maps, key: key,
      codec: settings.codec(agreement), agreement: agreement, windowBytes: accept.windowBytes,
      conversation: conversation,
      hints: hints, time: time, times: times, isLate: isLate
    ) { [self] pending in
      shared.withLock { $0.pendingBytes = pending }
      link.note(sentBytes: conversation.connection.wireBytesSent)
      publish()
    }
    let transfer = SourceTransfer(pass: self, stream: stream, offer: offer, accept: accept)
    let proves = wantsProof || (accept.wantsProof == true && agreement.features.contains(.proof))
    let (point, settleFailure) = try transfer.run(stays: proves)
    hints?.committed(point)
    var report = report(point, conversation, settleFailure: settleFailure)
    onCommitted(report)
    if proves {
      report.proof = settleFailure.map { .failed($0) } ?? prove(point, conversation, maps: maps, key: key)
    }
    return report
  }

  /// A receiver that names a pass whose commit it cannot have seen is wrong, and nothing of it is there.
  private func checkCommitWasOffered() throws(PassError) {
    guard !shared.withLock({ $0.isCommitOffered }) else { return }
    throw .wire(
      .value(
        .accept, field: "newest.pass", found: "\(id), this pass",
        expected: "an earlier one: no commit was sent"
      ))
  }

  /// As at every commit, both sides must have the same roots.
  private func checkAdopted(
    _ maps: [SourceDiskMaps], accept: Accept, newest: Accept.Newest
  ) throws(PassError) {
    for (map, answer) in zip(maps, accept.disks) where newest.holds(answer.disk) {
      let root: Root
      do throws(DigestError) { root = try map.base.root() } catch { throw .digest(error) }
      guard root == answer.effectiveRoot else {
        throw .wire(
          .value(
            .accept, field: "disks.effectiveRoot", found: "\(answer.effectiveRoot) of disk \(answer.disk)",
            expected: "\(root), which the commit of this pass named"))
      }
    }
  }

  private func makeOffer(_ source: SourceDisks, _ key: DigestKey) -> Offer {
    var offer = Offer(
      vm: view.vm, displayName: view.displayName, pass: id, view: view.id, frozenAt: view.frozenAt,
      label: view.label, epoch: shared.withLock { $0.lastEpoch }, disks: source.offered(key),
      vmxHash: SHA256Hasher.hash(view.vmx), nvramHash: view.nvram.map { SHA256Hasher.hash($0) })
    offer.wantsProof = wantsProof ? true : nil
    return offer
  }

  private func finishAdopted(
    _ conversation: Conversation, offer: Offer, accept: Accept, newest: Accept.Newest
  ) throws(PassError) -> Report {
    try conversation.send(Goodbye(reason: "the commit is known"))
    let disks = zip(offer.disks, accept.disks).filter { newest.holds($0.0.disk) }.map { offered, accepted in
      DiskPoint(
        disk: offered.disk, slot: offered.slot, grid: offered.grid, keyID: offered.keyID,
        root: accepted.effectiveRoot)
    }
    let point = RecoveryPoint(
      receiver: accept.receiver, vm: view.vm, reference: newest.reference, pass: newest.pass,
      frozenAt: newest.frozenAt, committedAt: time.wallTime(), label: view.label, disks: disks)
    hints?.committed(point)
    var report = report(point, conversation, settleFailure: nil)
    if wantsProof { report.proof = .failed(.proof(.answerLost)) }
    onCommitted(report)
    return report
  }

  private func report(
    _ point: RecoveryPoint, _ conversation: Conversation, settleFailure: PassError?
  ) -> Report {
    link.note(sentBytes: conversation.connection.wireBytesSent)
    let now = time.wallTime()
    var pass = shared.withLock { shared in
      VMStatus.Pass(
        pass: id, startedAt: startedAt, durationSeconds: now.seconds(since: startedAt),
        readBytes: shared.readBytes, changedBytes: shared.changedBytes, wireBytes: link.sentBytes)
    }
    let reading = reading
    (pass.stages, pass.bottleneck) = (reading.stages, reading.bottleneck)
    let clock = shared.withLock { $0.clock }
    let end = time.monotonicNanoseconds()
    return Report(
      point: point, pass: pass, deferred: selection.deferred, settleFailure: settleFailure,
      phases: (
        clock.seconds("connect", "compare", now: end), clock.seconds("send", now: end),
        reading.commitSeconds + reading.settleSeconds
      ))
  }

  // MARK: - Progress

  func setPhase(_ phase: String) {
    let now = time.monotonicNanoseconds()
    shared.withLock { $0.clock.enter(phase, now: now) }
    publish()
  }

  /// To be called before the commit is sent: it may arrive although sending it fails.
  func noteCommitOffered() { shared.withLock { $0.isCommitOffered = true } }

  func noteProof(doneBytes: Int64, totalBytes: Int64) {
    shared.withLock { $0.proof = (doneBytes, totalBytes) }
    publish()
  }

  func addCounts(read: Int64, changed: Int64) {
    shared.withLock {
      $0.readBytes += read
      $0.changedBytes += changed
    }
  }

  /// Where the time went until now.
  private var reading: StageReading {
    let (clock, now) = (shared.withLock { $0.clock }, time.monotonicNanoseconds())
    var reading = times.reading
    reading.freezeSeconds = freezeSeconds
    reading.commitSeconds = clock.seconds("commit", now: now)
    reading.settleSeconds = clock.seconds("settle", now: now)
    return reading
  }

  private func publish() {
    let source = selection.current
    let (phase, proof, pending) = shared.withLock { ($0.clock.phase, $0.proof, $0.pendingBytes) }
    let done = proof?.doneBytes ?? max(0, source.bytes(below: source.tracker.scannedLeaves) - pending)
    let total = proof?.totalBytes ?? source.totalBytes
    var running = VMStatus.Running(
      pass: id, phase: phase, startedAt: startedAt, doneBytes: done, totalBytes: total,
      wireBytes: link.sentBytes)
    running.bottleneck = reading.bottleneck
    progress(running)
  }
}
