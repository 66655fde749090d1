import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import Synchronization

/// The part of a pass between accept and goodbye: scan, send, commit. One thread receives meanwhile.
final class SourceTransfer: Sendable {
  let pass: SourcePass
  let conversation: Conversation
  let maps: [SourceDiskMaps]
  let key: DigestKey
  let window: SendWindow
  private let disks: [ScanDisk]
  private let codec: Codec
  private let offer: Offer
  private let accept: Accept
  private let sent: Mutex<Sent>
  /// The scan while it runs.
  private let running = Mutex<PageScan?>(nil)

  /// What was sent on this connection; the commit claims it.
  private struct Sent {
    var dataPages: [Int64]
    var zeroPages: [Int64]
    var batches: Int64 = 0
    var resendsAnswered: Int64 = 0
    var lastPublished: Int64 = 0
  }

  init(
    pass: SourcePass, conversation: Conversation, disks: [ScanDisk], maps: [SourceDiskMaps], key: DigestKey,
    codec: Codec, offer: Offer, accept: Accept
  ) {
    self.pass = pass
    self.conversation = conversation
    self.disks = disks
    self.maps = maps
    self.key = key
    self.codec = codec
    self.offer = offer
    self.accept = accept
    window = SendWindow(windowBytes: accept.windowBytes, tracker: pass.tracker)
    sent = Mutex(
      Sent(dataPages: disks.map { _ in 0 }, zeroPages: disks.map { _ in 0 }))
  }

  /// The new point, and what kept the receiver from saying that the standby disk is at it.
  func run() throws(PassError) -> (RecoveryPoint, settleFailure: PassError?) {
    let receiver = NamedThread.start("pass-receive") { self.receiveAnswers() }
    do throws(PassError) {
      let point = try sendAll()
      pass.setPhase("settle")
      let isSettled = window.waitForSettled()
      if !isSettled { conversation.connection.interrupt() }
      receiver.join()
      // It is committed: a goodbye that is lost costs nothing.
      if isSettled { _ = try? conversation.send(Goodbye()) }
      return (point, isSettled ? nil : window.failure)
    } catch {
      conversation.tell(error)
      // A connection that cannot send any more may still hold the peer's reason: the receiving thread reads
      // on to the end.
      if case .transport = error { _ = window.waitForFailure(seconds: 2) }
      conversation.connection.interrupt()
      receiver.join()
      throw window.peerError ?? error
    }
  }

  private func sendAll() throws(PassError) -> RecoveryPoint {
    pass.setPhase("send")
    try sendChanges()
    try sendFiles()
    do throws(SourceError) { try pass.view.checkUnchanged() } catch { throw .source(error) }
    return try commit()
  }

  // MARK: - Sending

  private func sendChanges() throws(PassError) {
    let scan = PageScan(disks: disks, key: key, codec: codec, tracker: pass.tracker)
    running.withLock { $0 = scan }
    // Whoever fails from here on finds the scan; whoever failed before is seen here.
    if let failure = window.failure { throw failure }
    scan.start()
    defer {
      running.withLock { $0 = nil }
      scan.stop()
      let counts = scan.counts
      pass.addCounts(
        read: counts.reduce(0) { $0 + $1.readBytes }, changed: counts.reduce(0) { $0 + $1.changedBytes })
    }
    while let batch = try nextBatch(scan) {
      try send(batch)
      scan.recycle(batch)
      publishNowAndThen()
    }
  }

  private func nextBatch(_ scan: PageScan) throws(PassError) -> OutgoingBatch? {
    do throws(SourceError) { return try scan.next() } catch {
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
        digest: batch.digest, payloadLength: payload.count)
    } catch { throw .wire(error) }
    let bytes = Int64(prefix.count + payload.count)
    try window.waitForRoom(bytes)
    let sequence = try conversation.send(.batch, prefix: prefix, body: payload)
    sent.withLock { sent in
      sent.dataPages[batch.diskIndex] += batch.dataPages
      sent.zeroPages[batch.diskIndex] += batch.zeroPages
      sent.batches += 1
    }
    window.noteSent(sequence, bytes: bytes, token: batch.token)
  }

  /// VMX and NVRAM, where the receiver does not hold these very bytes.
  private func sendFiles() throws(PassError) {
    for kind in accept.filesWanted {
      let contents = kind == .vmx ? pass.view.vmx : pass.view.nvram ?? []
      try window.waitForRoom(Int64(contents.count))
      let sequence = try conversation.send(.file, prefix: FileMessage.encodePrefix(kind) + contents)
      window.noteSent(sequence, bytes: Int64(contents.count), token: nil)
    }
  }

  private func publishNowAndThen() {
    let now = pass.time.monotonicNanoseconds()
    let isDue = sent.withLock { sent in
      guard now - sent.lastPublished > 200_000_000 else { return false }
      sent.lastPublished = now
      return true
    }
    if isDue { pass.publish(wireBytes: conversation.connection.wireBytesSent) }
  }

  // MARK: - Commit

  private func commit() throws(PassError) -> RecoveryPoint {
    pass.setPhase("commit")
    let roots = try sealDeltas()
    while true {
      try answerResends()
      let commit = sent.withLock { sent in
        let claims = offer.disks.indices.map { index in
          Commit.Disk(
            disk: offer.disks[index].disk, root: roots[index], dataPages: sent.dataPages[index],
            zeroPages: sent.zeroPages[index])
        }
        return Commit(disks: claims, batches: sent.batches, resendsAnswered: sent.resendsAnswered)
      }
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

  /// Durable before the commit is offered: a lost answer must find the delta here.
  private func sealDeltas() throws(PassError) -> [Root] {
    do throws(DigestError) {
      var roots: [Root] = []
      for disk in maps {
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
      for disk in maps where members.contains(disk.delta.format.disk) {
        try disk.delta.merge(as: point.reference)
      }
    } catch { throw .digest(error) }
    return point
  }

  /// A resend holds the scan's position from the moment it arrives, because the acknowledgement that follows
  /// it covers the damaged batch.
  private func answerResends() throws(PassError) {
    for (resend, token) in window.takeResends() {
      for range in resend.pages {
        try answer(range.first..<(range.first + range.count), disk: resend.disk)
      }
      pass.tracker.release(token)
      sent.withLock { $0.resendsAnswered += 1 }
    }
  }

  private func answer(_ pages: Range<Int64>, disk index: Int) throws(PassError) {
    for part in ResendPages.parts(of: pages, grid: disks[index].grid) {
      let token = pass.tracker.hold(pass.leafNumber(disk: index, page: part.lowerBound))
      let batch: OutgoingBatch
      do throws(SourceError) {
        batch = try ResendPages(disk: disks[index], index: index, key: key).read(part, token: token)
      } catch { throw .source(error) }
      try checkSame(batch, pages: part, disk: index)
      try send(batch)
    }
  }

  /// What is sent again must be what the sealed delta and its root were made from.
  private func checkSame(_ batch: OutgoingBatch, pages: Range<Int64>, disk index: Int) throws(PassError) {
    let leaf = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
    defer { leaf.deallocate() }
    var loaded: Int64 = -1
    for (page, digest) in zip(pages, batch.pageDigests) {
      let (number, slot) = page.quotientAndRemainder(dividingBy: Int64(PageGrid.pagesPerLeaf))
      if number != loaded {
        do throws(DigestError) { try maps[index].delta.readLeaf(number, into: leaf) } catch {
          throw .digest(error)
        }
        loaded = number
      }
      guard leaf[Int(slot)] == digest else { throw .resent(disk: offer.disks[index].slot, page: page) }
    }
  }

  // MARK: - Receiving

  private func receiveAnswers() {
    do throws(PassError) {
      while true {
        let frame = try conversation.receive()
        switch frame.type {
        case .ack:
          try window.acknowledge(try conversation.decode(Ack.self, frame))
        case .resend:
          let resend = try conversation.decode(Resend.self, frame)
          do throws(ProtocolError) { try resend.validate(disks: offer.grids) } catch { throw .wire(error) }
          let leaf = pass.leafNumber(disk: resend.disk, page: resend.pages[0].first)
          try window.add(resend, token: pass.tracker.hold(leaf))
        case .committed: window.note(try conversation.decode(Committed.self, frame))
        case .settled:
          window.noteSettled()
          return
        default: throw conversation.unexpected(frame.type)
        }
      }
    } catch {
      window.fail(error)
      // The sending thread may be waiting for a change on a disk that has none.
      running.withLock { $0 }?.cancel()
    }
  }
}
