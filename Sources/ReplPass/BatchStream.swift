import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import ReplTransport
import Synchronization

/// What goes from a scan onto one connection, and what the receiver says of it: sends batches within the
/// window, takes acknowledgements, sends pages again that are asked for. One thread sends, one receives.
final class BatchStream: Sendable {
  let conversation: Conversation
  let window: SendWindow
  let maps: [SourceDiskMaps]
  private let source: SourceDisks
  private let disks: [ScanDisk]
  private let hints: ViewHints?
  private let key: DigestKey
  private let codec: Codec
  private let agreement: Agreement
  private let time: any TimeSource
  private let times: StageTimes
  private let tuning: CodecTuning
  /// Called a few times a second while batches go out, with `pendingBytes`.
  private let onProgress: @Sendable (Int64) -> Void
  private let sent: Mutex<Sent>
  /// The scan while it runs.
  private let running = Mutex<PageScan?>(nil)

  /// What was sent on this connection; the commit claims it.
  struct Sent {
    var dataPages: [Int64]
    var zeroPages: [Int64]
    var batches: Int64 = 0
    var resendsAnswered: Int64 = 0
    var lastProgress: Int64 = 0
  }

  init(
    _ source: SourceDisks, _ disks: [ScanDisk], maps: [SourceDiskMaps], key: DigestKey, codec: Codec,
    agreement: Agreement, windowBytes: Int64, conversation: Conversation, hints: ViewHints? = nil,
    time: any TimeSource,
    times: StageTimes = StageTimes(), isLate: @escaping @Sendable () -> Bool = { false },
    onProgress: @escaping @Sendable (_ pendingBytes: Int64) -> Void
  ) {
    self.source = source
    self.disks = disks
    self.maps = maps
    self.key = key
    self.codec = codec
    self.agreement = agreement
    self.conversation = conversation
    self.hints = hints
    self.time = time
    self.times = times
    times.connect()
    tuning = CodecTuning(codec: codec, times: times, isLate: isLate)
    self.onProgress = onProgress
    window = SendWindow(windowBytes: windowBytes, tracker: source.tracker)
    sent = Mutex(Sent(dataPages: disks.map { _ in 0 }, zeroPages: disks.map { _ in 0 }))
  }

  var counts: Sent { sent.withLock { $0 } }

  // MARK: - Sending

  /// Scans all disks and sends what differs from what the receiver holds. `onEnd` is told what was read and
  /// changed, whatever the end.
  func sendChanges(onEnd: (_ readBytes: Int64, _ changedBytes: Int64) -> Void) throws(PassError) {
    var disks = disks
    try scanAll(disks, onEnd)
    // A hint that was found wrong has left out what nobody knows: its disk is read again, all of it.
    while source.restart(&disks, hints) { try scanAll(disks, onEnd) }
  }

  private func scanAll(
    _ disks: [ScanDisk], _ onEnd: (_ readBytes: Int64, _ changedBytes: Int64) -> Void
  ) throws(PassError) {
    let scan = PageScan(
      disks: disks, key: key, codec: codec, tracker: source.tracker, times: times,
      batchLimitBytes: agreement.limits.batchRawBytes)
    scan.setLevel(tuning.level)
    running.withLock { $0 = scan }
    // Whoever fails from here on finds the scan; whoever failed before is seen here.
    if let failure = window.failure { throw failure }
    scan.start()
    times.begin { scan.waits }
    defer {
      running.withLock { $0 = nil }
      times.end()
      scan.stop()
      let counts = scan.counts
      onEnd(counts.reduce(0) { $0 + $1.readBytes }, counts.reduce(0) { $0 + $1.changedBytes })
    }
    while let batch = try nextBatch(scan) {
      try send(batch)
      scan.recycle(batch)
      tuning.apply(to: scan)
      progressNowAndThen()
    }
  }

  private func nextBatch(_ scan: PageScan) throws(PassError) -> OutgoingBatch? {
    do throws(SourceError) { return try scan.next(onWait: progressNowAndThen) } catch {
      // A scan that was stopped was stopped for a reason.
      throw window.failure ?? .source(error)
    }
  }

  private func send(_ batch: OutgoingBatch) throws(PassError) {
    let prefix: [UInt8]
    let payload = batch.payload
    do throws(ProtocolError) {
      prefix = try BatchMessage.encodePrefix(
        diskIndex: batch.diskIndex, grid: disks[batch.diskIndex].grid, codec: batch.codec, runs: batch.runs,
        digest: batch.digest, payloadLength: payload.count, limits: agreement.limits)
    } catch { throw .wire(error) }
    let bytes = Int64(prefix.count + payload.count)
    try times.measureWriter(.window) { () throws(PassError) in try window.waitForRoom(bytes) }
    let sequence = try times.measureWriter(.link) { () throws(PassError) in
      try conversation.send(.batch, prefix: prefix, body: payload)
    }
    sent.withLock { sent in
      sent.dataPages[batch.diskIndex] += batch.dataPages
      sent.zeroPages[batch.diskIndex] += batch.zeroPages
      sent.batches += 1
    }
    window.noteSent(sequence, bytes: bytes, token: batch.token)
  }

  /// One of the VM's files.
  func send(_ kind: FileKind, _ contents: [UInt8]) throws(PassError) {
    try window.waitForRoom(Int64(contents.count))
    let sequence = try conversation.send(.file, prefix: FileMessage.encodePrefix(kind) + contents)
    window.noteSent(sequence, bytes: Int64(contents.count), token: nil)
  }

  private func progressNowAndThen() {
    let now = time.monotonicNanoseconds()
    let isDue = sent.withLock { sent in
      guard now - sent.lastProgress > 200_000_000 else { return false }
      sent.lastProgress = now
      return true
    }
    if isDue { onProgress(pendingBytes) }
  }

  /// Bytes of disk that were found changed and are not at the receiver yet, as far as can be told.
  private var pendingBytes: Int64 {
    let scan = running.withLock { $0 }
    let found = scan?.counts.reduce(Int64(0)) { $0 + $1.changedBytes } ?? 0
    let counts = counts
    let sent = disks.indices.reduce(Int64(0)) { sum, disk in
      sum + (counts.dataPages[disk] + counts.zeroPages[disk]) * Int64(disks[disk].grid.pageSizeBytes)
    }
    return max(0, found - sent) + window.unacknowledgedBytes
  }

  // MARK: - Sending again

  /// A resend holds the scan's position from the moment it arrives, because the acknowledgement that follows
  /// it covers the damaged batch. `check` sees every batch before it is sent.
  func answerResends(
    _ check: (_ batch: OutgoingBatch, _ pages: Range<Int64>, _ disk: Int) throws(PassError) -> Void
  ) throws(PassError) {
    for (resend, token) in window.takeResends() {
      for range in resend.pages {
        for part in ResendPages.parts(
          of: range.first..<(range.first + range.count), grid: disks[resend.disk].grid,
          batchLimitBytes: agreement.limits.batchRawBytes)
        {
          let batch = try read(part, disk: resend.disk)
          try check(batch, part, resend.disk)
          try send(batch)
        }
      }
      source.tracker.release(token)
      sent.withLock { $0.resendsAnswered += 1 }
    }
  }

  private func read(_ pages: Range<Int64>, disk index: Int) throws(PassError) -> OutgoingBatch {
    let token = source.tracker.hold(source.leafNumber(disk: index, page: pages.lowerBound))
    do throws(SourceError) {
      return try ResendPages(disk: disks[index], index: index, key: key).read(pages, token: token)
    } catch { throw .source(error) }
  }

  // MARK: - Receiving

  /// Takes what the receiver says, on a thread of its own, until `other` (messages that are neither
  /// acknowledgements nor requests for pages) answers false or the connection ends.
  func receive(_ other: (Frame) throws(PassError) -> Bool) {
    defer { window.noteReceivingEnded() }
    do throws(PassError) {
      var goesOn = true
      while goesOn {
        let frame = try conversation.receive { () throws(PassError) in
          // A target that is older acknowledges what came last when something follows.
          if agreement.features.contains(.promptAck) { try window.checkAge() }
        }
        switch frame.type {
        case .ack:
          let ack = try conversation.decode(Ack.self, frame)
          noteTarget(busyMilliseconds: ack.busyMilliseconds)
          try window.acknowledge(ack)
          progressNowAndThen()
        case .resend: try note(try conversation.decode(Resend.self, frame))
        default: goesOn = try other(frame)
        }
      }
    } catch { end(because: error) }
  }

  /// Makes the sending thread throw `error`, whatever it is waiting for. From any thread.
  func end(because error: PassError) {
    window.fail(error)
    // The sending thread may be waiting for its turn, which under a low limit takes a while.
    conversation.connection.releasePace()
    // The sending thread may be waiting for a change on a disk that has none.
    running.withLock { $0 }?.cancel()
  }

  /// Ends the connection after a failure of the sending thread, which tells the peer; `receiver` is joined.
  /// Answers what was the cause.
  func fail(_ error: PassError, receiver: NamedThread) -> PassError {
    conversation.tell(error)
    switch error {
    // A connection that cannot send any more may still hold the peer's reason: the receiving thread reads on
    // to the end.
    case .transport: window.waitForReceivingEnd(seconds: 2)
    // What is on its way before it must arrive, too: a connection that is cut may lose it.
    case .stopping: window.waitForReceivingEnd(seconds: SessionEnding.graceSeconds)
    default: break
    }
    conversation.connection.interrupt()
    receiver.join()
    return window.peerError ?? error
  }

  /// What the receiver says of its own time.
  func noteTarget(busyMilliseconds: Int64?) {
    if let busyMilliseconds { times.noteTarget(busySeconds: Double(busyMilliseconds) / 1000) }
  }

  private func note(_ resend: Resend) throws(PassError) {
    do throws(ProtocolError) { try resend.validate(disks: source.grids) } catch { throw .wire(error) }
    let leaf = source.leafNumber(disk: resend.disk, page: resend.pages[0].first)
    try window.add(resend, token: source.tracker.hold(leaf))
  }
}
