import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource

/// One round of a seed: one disk from where the round before ended (or from its first page) to its end, over
/// as many connections as it takes.
final class SeedRound: Sendable {
  /// How far a round came.
  struct Outcome: Sendable {
    /// All below is at the receiver, durable, as far as it has told.
    let nextLeaf: Int64
    /// What the receiver holds, when the round came to the end of the disk.
    let root: Root?
  }

  private let session: SeedSession
  private let source: SourceDisks

  init(_ disk: ViewDisk, startingAt leaf: Int64, in session: SeedSession) {
    self.session = session
    source = SourceDisks([disk], pageSizeBytes: session.settings.pageSizeBytes, startingAt: leaf)
  }

  private var end: SeedEnd { session.end }
  private var position: Outcome { Outcome(nextLeaf: source.tracker.position, root: nil) }

  /// Throws what ended the round too early; `nextLeaf` is right then, too.
  func run() -> (Outcome, PassError?) {
    do throws(PassError) {
      let root = try session.link.retrying { () -> Int64 in
        source.tracker.rewind()
        return source.tracker.position
      } pause: { (seconds) throws(PassError) in
        guard end.isDue.pause(seconds: seconds) else { throw .stopping }
      } _: { () throws(PassError) -> Root? in
        try attempt()
      }
      source.tracker.rewind()
      return (Outcome(nextLeaf: source.tracker.position, root: root), nil)
    } catch {
      source.tracker.rewind()
      // Cut off in the middle of its orderly end, which costs nothing but what was not acknowledged.
      return (position, end.isDue.isSet ? nil : error)
    }
  }

  /// One connection. Nil when the session ended before the disk did.
  private func attempt() throws(PassError) -> Root? {
    if end.isDue.isSet { return nil }
    session.setPhase("connect")
    do throws(PassError) {
      return try session.link.connected(stop: end.isDue, interrupt: end.isOverdue) {
        (conversation) throws(PassError) -> Root? in
        try converse(conversation)
      }
    } catch { throw end.isDue.isSet ? .stopping : error }
  }

  private func converse(_ conversation: Conversation) throws(PassError) -> Root? {
    let greeting = SourceGreeting(
      conversation: conversation, state: session.state, settings: session.settings, time: session.time)
    let (agreement, key) = try greeting.run()
    let accept = try conversation.offer(session.makeOffer(source.offered(key)))
    session.note(accept)
    let maps = try source.openMaps(accept, key: key, vm: session.view.vm, in: session.state)
    session.setPhase("compare")
    let stream = BatchStream(
      source, try source.align(maps, accept, conversation), maps: maps, key: key,
      codec: session.settings.codec(agreement), agreement: agreement, windowBytes: accept.windowBytes,
      conversation: conversation, time: session.time
    ) { [self] _ in
      session.link.note(sentBytes: conversation.connection.wireBytesSent)
      session.publish(bytes: source.bytes(below: source.tracker.scannedLeaves))
    }
    session.setPhase("seed")
    return try conversation.ending.whileSending(stop: { stream.end(because: .stopping) }) {
      () throws(PassError) -> Root? in
      try transfer(stream)
    }
  }

  /// Scan, answers, goodbye. One thread receives meanwhile.
  private func transfer(_ stream: BatchStream) throws(PassError) -> Root? {
    let conversation = stream.conversation
    let receiver = try NamedThread.ofPass("seed-receive") { self.receiveAnswers(stream) }
    do throws(PassError) {
      let isWhole = try sendChanges(stream)
      // What they hold goes to the receiver as it reads now: whether that is what was scanned, the pass
      // that takes the disk in compares.
      try stream.answerResends { (_, _, _) throws(PassError) in }
      try conversation.send(Goodbye(reason: isWhole ? "all of it was read" : "the next session goes on"))
      let isKept = stream.window.waitForFinish(seconds: ProtocolTimeouts.seedGoodbyeSeconds)
      if !isKept { conversation.connection.interrupt() }
      receiver.join()
      guard isKept else {
        throw stream.window.failure
          ?? .timedOut("the receiver's goodbye", seconds: ProtocolTimeouts.seedGoodbyeSeconds)
      }
      stream.window.acknowledgeAll()
      let root = try keep(stream.maps[0])
      return isWhole ? root : nil
    } catch { throw stream.fail(error, receiver: receiver) }
  }

  /// Whether the scan came to the end of the disk. One that is told to end sends what its readers have in
  /// hand.
  private func sendChanges(_ stream: BatchStream) throws(PassError) -> Bool {
    try end.isDue.whileWatching(wake: { self.source.tracker.stopTaking() }) { () throws(PassError) in
      try stream.sendChanges(onEnd: { _, _ in })
    }
    return source.tracker.scannedLeaves == PageScan.leafCount(of: source.grids)
  }

  /// What the receiver holds now becomes what is known of it, under a number that no point has: the next
  /// round and the pass that takes the disk in need not ask for it.
  private func keep(_ maps: SourceDiskMaps) throws(PassError) -> Root {
    do throws(DigestError) {
      let root = try maps.delta.root()
      try maps.delta.seal(pass: session.id, root: root)
      try maps.delta.merge(as: PointReference(epoch: Epoch(0), number: 0))
      return root
    } catch { throw .digest(error) }
  }

  private func receiveAnswers(_ stream: BatchStream) {
    stream.receive { (frame) throws(PassError) in
      guard frame.type == .goodbye, stream.conversation.phase == .closed else {
        throw stream.conversation.unexpected(frame.type)
      }
      stream.window.noteFinished()
      return false
    }
  }
}
