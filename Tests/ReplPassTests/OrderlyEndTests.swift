import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass
@testable import ReplSource

/// One of the two daemons ends, as it was told: nobody may take it for a fault.
@Suite(.serialized) struct OrderlyEndTests {
  private static let image = PageMaker.random(byteCount: 12 << 20, seed: 77)

  /// A pass of the image through the relay; `onRead` is called with the offset of each read.
  private func pass(
    _ pair: Pair, _ relay: FrameRelay, stop: StopSignal = StopSignal(), retryLimit: Int = 1,
    onRead: @escaping @Sendable (Int64) -> Void = { _ in }
  ) throws -> Result<SourcePass.Report, PassError> {
    let pass = SourcePass(
      view: pair.view([MemoryDisk(Self.image, onRead: onRead)]),
      settings: pair.settings(retryLimit: retryLimit, through: relay.port),
      state: try SourceState(root: pair.sender.disk("state")), lastEpoch: nil, stop: stop,
      time: SystemTime(), progress: { _ in })
    return Result { () throws(PassError) in try pass.run() }
  }

  private func waitUntilLeft(_ pair: Pair) {
    let deadline = Deadline(seconds: 20)
    while pair.connectionCount > 0, !deadline.hasPassed {
      _ = Monitor(false).wait(seconds: 0.005) { $0 ? true : nil }
    }
    #expect(pair.connectionCount == 0)
  }

  private func numbers(_ relay: FrameRelay, _ way: FrameRelay.Way) -> [UInt16] {
    relay.seen.filter { $0.type == .error && $0.way == way }.compactMap {
      try? ErrorMessage.decode($0.payload).number
    }
  }

  @Test("a sender that ends in the middle of a pass says so, at once, and nothing failed at the receiver")
  func senderEnds() throws {
    let pair = try Pair()
    let relay = try FrameRelay(pair)
    defer {
      relay.stop()
      pair.end()
    }
    for offset: Int64 in [0, 5 << 20, 11 << 20] {
      relay.tamper(nil)
      let stop = StopSignal()
      let stoppedAt = Mutex<Int64>(0)
      let outcome = try pass(pair, relay, stop: stop) { read in
        guard read >= offset, !stop.isSet else { return }
        stoppedAt.withLock { $0 = SystemTime().monotonicNanoseconds() }
        stop.set()
      }
      let seconds = Double(SystemTime().monotonicNanoseconds() - stoppedAt.withLock { $0 }) / 1e9
      guard case .failure(.stopping) = outcome else {
        Issue.record("\(outcome)")
        continue
      }
      #expect(seconds < 3, "\(seconds)")
      waitUntilLeft(pair)
      #expect(numbers(relay, .toTarget) == [ErrorNumber.shuttingDown.rawValue], "stopped at \(offset)")
      let status = pair.status
      #expect(status?.passesFailed == 0 && status?.lastFailure == nil && status?.running == nil)
      #expect(status?.state == .seeding, "\(String(describing: status?.state))")
    }
    relay.tamper(nil)
    #expect(try pass(pair, relay).get().point.reference.number == 1)
  }

  @Test("a receiver that ends in the middle of a pass tells its senders, and has no failure of its own")
  func receiverEnds() throws {
    let pair = try Pair()
    let relay = try FrameRelay(pair)
    defer {
      relay.stop()
      pair.end()
    }
    let outcome = try pass(pair, relay) { if $0 >= 5 << 20 { pair.stopReceiver() } }
    guard case .failure(let error) = outcome, case .wire(.peer(let number, _, let seconds)) = error else {
      Issue.record("\(outcome)")
      return
    }
    #expect(number == ErrorNumber.shuttingDown.rawValue && seconds != nil && error.isOrderlyEnd)
    waitUntilLeft(pair)
    #expect(pair.status?.passesFailed == 0 && pair.status?.lastFailure == nil && pair.status?.running == nil)
    // One that comes in the last moment is told, too.
    relay.tamper(nil)
    let late = try pass(pair, relay)
    #expect("\(late)".contains("shuttingDown"), "\(late)")
    try pair.startReceiver()
    #expect(try pass(pair, relay).get().point.reference.number == 1)
  }

  @Test("what was sent last is acknowledged at the next heartbeat, although nothing follows it")
  func lastFrames() throws {
    let pair = try Pair()
    defer { pair.end() }
    let source = try ResendTests.HandSource(pair)
    defer { source.conversation.connection.close() }
    let page = PageMaker.random(byteCount: 4096, seed: 3)
    _ = try source.sendPage(page, announced: page)
    try source.conversation.connection.startHeartbeats(everySeconds: 0.2)
    let ack = try source.conversation.expect(Ack.self, seconds: 10)
    // Hello, key, offer, file, batch.
    #expect(ack.sequence == 4)
  }

  @Test("a source that gives up because of its disks says so with a number of its own")
  func sourceFailed() throws {
    let pair = try Pair()
    defer { pair.end() }
    let source = try ResendTests.HandSource(pair)
    source.conversation.tell(.source(.changed(path: "/vm/web01-flat.vmdk", what: "it grew")))
    source.conversation.connection.close()
    waitUntilLeft(pair)
    #expect(pair.status?.lastFailure?.cause.contains("44 (sourceFailed)") == true)
    #expect(pair.status?.lastFailure?.remedy == .abandonPass)
  }
}
