import ReplCompression
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
/// is acknowledged, sending nothing that the receiver holds already. Blocks; runs on a thread of its own.
public final class SourcePass: Sendable {
  let id = PassID.random()
  let view: VMView
  let settings: SourceSettings
  let state: SourceState
  let stop: StopSignal
  let time: any TimeSource
  let tracker: ResumeTracker
  let grids: [PageGrid]
  private let progress: @Sendable (VMStatus.Running) -> Void
  private let onTrouble: @Sendable (PassError) -> Void
  private let startedAt: WallTime
  private let shared = Mutex(Shared())

  private struct Shared {
    /// Kept from one connection to the next while the pass lives.
    var maps: [SourceDiskMaps]?
    var receiver: ReceiverID?
    var phase = "connect"
    var readBytes: Int64 = 0
    var changedBytes: Int64 = 0
    /// Of the connections that have ended, and of the one that is open as last published.
    var wireBytes: Int64 = 0
    var openWireBytes: Int64 = 0
    var lastEpoch: Epoch?
  }

  /// `onTrouble` is called for every connection that failed and is tried again. `progress` is called from the
  /// pass's threads, a few times a second at most.
  public init(
    view: VMView, settings: SourceSettings, state: SourceState, lastEpoch: Epoch?, stop: StopSignal,
    time: any TimeSource, progress: @escaping @Sendable (VMStatus.Running) -> Void,
    onTrouble: @escaping @Sendable (PassError) -> Void = { _ in }
  ) {
    self.view = view
    self.settings = settings
    self.state = state
    self.stop = stop
    self.time = time
    self.progress = progress
    self.onTrouble = onTrouble
    startedAt = time.wallTime()
    grids = view.disks.map { disk in
      guard let grid = PageGrid(sizeBytes: disk.image.sizeBytes, pageSizeBytes: settings.pageSizeBytes) else {
        preconditionFailure("the view was taken with sizes in range")
      }
      return grid
    }
    tracker = ResumeTracker(leafCount: PageScan.leafCount(of: grids))
    shared.withLock { $0.lastEpoch = lastEpoch }
  }

  /// What a committed pass says of itself.
  public struct Report: Sendable {
    public let point: RecoveryPoint
    public let pass: VMStatus.Pass
    /// What kept the receiver from saying that the standby disk itself is at the point; nil when it did say
    /// so. The point exists all the same, in the receiver's journal.
    public let settleFailure: PassError?
    /// Whether the receiver said that the standby disk itself is at the point.
    public var isSettled: Bool { settleFailure == nil }
  }

  /// Runs the pass to its commit.
  public func run() throws(PassError) -> Report {
    var failures = 0
    var lastPosition = tracker.position
    while true {
      do throws(PassError) {
        return try attempt()
      } catch {
        if stop.isSet { throw .stopping }
        guard error.remedy == .retryPass else { throw error }
        if view.label == .fuzzy { throw .fuzzyInterrupted("\(error)") }
        tracker.rewind()
        if tracker.position > lastPosition { failures = 0 }
        lastPosition = tracker.position
        failures += 1
        guard failures < settings.retryLimit else { throw error }
        onTrouble(error)
        // A longer wait than this is better spent without holding the view: the scheduler does it.
        let pause = min(error.retryAfterSeconds ?? 0.25 * Double(1 << failures), 15)
        if waitForStop(seconds: pause) { throw .stopping }
        do throws(SourceError) { try view.checkUnchanged() } catch { throw .source(error) }
      }
    }
  }

  private func waitForStop(seconds: Double) -> Bool {
    let woken = Monitor(false)
    return stop.whileWatching(wake: { woken.withLock { $0 = true } }) {
      woken.wait(seconds: seconds) { $0 ? true : nil } ?? false
    }
  }

  /// One connection.
  private func attempt() throws(PassError) -> Report {
    setPhase("connect")
    let dial = ConnectionAttempt()
    let connection: FrameConnection
    do throws(TransportError) {
      connection = try stop.whileWatching(wake: { dial.cancel() }) { () throws(TransportError) in
        try FrameConnection.connect(
          to: settings.receiver, context: settings.tls, options: settings.transport, attempt: dial)
      }
    } catch { throw .transport(error) }
    defer {
      shared.withLock {
        $0.wireBytes += connection.wireBytesSent
        $0.openWireBytes = 0
      }
      connection.close()
    }
    let conversation = Conversation(connection, role: .source)
    return try stop.whileWatching(wake: { connection.interrupt() }) { () throws(PassError) -> Report in
      do throws(PassError) {
        return try converse(conversation)
      } catch {
        conversation.tell(stop.isSet ? .stopping : error)
        throw error
      }
    }
  }

  private func converse(_ conversation: Conversation) throws(PassError) -> Report {
    let greeting = SourceGreeting(conversation: conversation, state: state, settings: settings, time: time)
    let (agreement, key) = try greeting.run()
    let offer = makeOffer(key)
    try conversation.send(offer)
    let accept = try conversation.expect(
      Accept.self, seconds: ProtocolTimeouts.seconds(in: .offered) ?? ProtocolTimeouts.idleSeconds)
    do throws(ProtocolError) { try accept.validate(answering: offer) } catch { throw .wire(error) }
    shared.withLock { $0.lastEpoch = accept.epoch }
    let maps = try openMaps(accept, key: key, isCommitted: accept.isCommitted(offer))
    if accept.isCommitted(offer), let newest = accept.newest {
      // The answer to the commit was lost; opening the maps has adopted it.
      return try finishAdopted(conversation, offer: offer, accept: accept, newest: newest)
    }
    setPhase("compare")
    var disks: [ScanDisk] = []
    for (index, disk) in maps.enumerated() {
      let alignment = MapAlignment(conversation: conversation, diskIndex: index, maps: disk)
      let held = try alignment.heldView(remoteRoot: accept.disks[index].effectiveRoot)
      disks.append(
        ScanDisk(
          image: view.disks[index].image, grid: grids[index], base: disk.base, held: held, delta: disk.delta))
    }
    let transfer = SourceTransfer(
      pass: self, conversation: conversation, disks: disks, maps: maps, key: key,
      codec: settings.codec(agreement), offer: offer, accept: accept)
    let (point, settleFailure) = try transfer.run()
    return report(point, conversation, settleFailure: settleFailure)
  }

  private func makeOffer(_ key: DigestKey) -> Offer {
    let disks = zip(view.disks, grids).map { disk, grid in
      Offer.Disk(disk: disk.id, slot: disk.slot, grid: grid, keyID: key.id, facts: disk.facts)
    }
    return Offer(
      vm: view.vm, displayName: view.displayName, pass: id, view: view.id, frozenAt: view.frozenAt,
      label: view.label, epoch: shared.withLock { $0.lastEpoch }, disks: disks,
      vmxHash: SHA256Hasher.hash(view.vmx), nvramHash: view.nvram.map { SHA256Hasher.hash($0) })
  }

  /// On a second connection of the same pass the tentative deltas go on; else they begin anew.
  private func openMaps(
    _ accept: Accept, key: DigestKey, isCommitted: Bool
  ) throws(PassError) -> [SourceDiskMaps] {
    let (kept, before) = shared.withLock { ($0.maps, $0.receiver) }
    // What was scanned was compared with another receiver: going on would leave a hole.
    if let before, before != accept.receiver { throw .receiverChanged(from: before, to: accept.receiver) }
    if let kept, !isCommitted {
      guard kept.allSatisfy({ $0.base.format.keyID == key.id }) else {
        throw .receiverChanged(from: accept.receiver, to: accept.receiver)
      }
      return kept
    }
    let directory = try state.mapDirectory(receiver: accept.receiver, vm: view.vm)
    var maps: [SourceDiskMaps] = []
    for (disk, grid) in zip(view.disks, grids) {
      let format = DigestMapFormat(disk: disk.id, grid: grid, keyID: key.id)
      maps.append(try SourceDiskMaps.open(format, in: directory, newest: accept.newest))
    }
    shared.withLock {
      $0.maps = maps
      $0.receiver = accept.receiver
    }
    return maps
  }

  private func finishAdopted(
    _ conversation: Conversation, offer: Offer, accept: Accept, newest: Accept.Newest
  ) throws(PassError) -> Report {
    try conversation.send(Goodbye(reason: "the commit is known"))
    let disks = zip(offer.disks, accept.disks).map { offered, accepted in
      DiskPoint(
        disk: offered.disk, slot: offered.slot, grid: offered.grid, keyID: offered.keyID,
        root: accepted.effectiveRoot)
    }
    let point = RecoveryPoint(
      receiver: accept.receiver, vm: view.vm, reference: newest.reference, pass: newest.pass,
      frozenAt: newest.frozenAt, committedAt: time.wallTime(), label: view.label, disks: disks)
    return report(point, conversation, settleFailure: nil)
  }

  private func report(
    _ point: RecoveryPoint, _ conversation: Conversation, settleFailure: PassError?
  ) -> Report {
    let now = time.wallTime()
    let pass = shared.withLock { shared in
      VMStatus.Pass(
        pass: id, startedAt: startedAt, durationSeconds: now.seconds(since: startedAt),
        readBytes: shared.readBytes, changedBytes: shared.changedBytes,
        wireBytes: shared.wireBytes + conversation.connection.wireBytesSent)
    }
    return Report(point: point, pass: pass, settleFailure: settleFailure)
  }

  /// The number of a page's leaf, counted across all disks as the tracker does.
  func leafNumber(disk: Int, page: Int64) -> Int64 {
    grids[..<disk].reduce(0) { $0 + $1.leafCount } + page / Int64(PageGrid.pagesPerLeaf)
  }

  // MARK: - Progress

  func setPhase(_ phase: String) {
    shared.withLock { $0.phase = phase }
    publish()
  }

  func addCounts(read: Int64, changed: Int64) {
    shared.withLock {
      $0.readBytes += read
      $0.changedBytes += changed
    }
  }

  /// `wireBytes` of the connection that is open now, where the caller knows better than last time.
  func publish(wireBytes: Int64? = nil) {
    let leaves = max(tracker.scannedLeaves, 0)
    let total = view.totalBytes
    let done = min(total, leaves * Int64(settings.pageSizeBytes * PageGrid.pagesPerLeaf))
    let running = shared.withLock { shared in
      shared.openWireBytes = wireBytes ?? shared.openWireBytes
      return VMStatus.Running(
        pass: id, phase: shared.phase, startedAt: startedAt, doneBytes: done, totalBytes: total,
        wireBytes: shared.wireBytes + shared.openWireBytes)
    }
    progress(running)
  }
}
