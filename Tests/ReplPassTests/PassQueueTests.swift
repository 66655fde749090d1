import ReplIO
import ReplModel
import ReplProtocol
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// Places for passes at the receiver.
@Suite(.serialized) struct PassQueueTests {
  private func queue(
    _ passes: Int, perPeer: Int, waitSeconds: Double = 10, time: any TimeSource = SystemTime()
  ) -> PassQueue {
    PassQueue(
      limits: TargetLimits(passes: passes, passesPerPeer: perPeer), waitSeconds: waitSeconds, time: time)
  }

  private func number(_ body: () throws(PassError) -> PassQueue.Place) -> ErrorNumber? {
    do throws(PassError) {
      _ = try body()
      return nil
    } catch {
      if case .refused(let number, _, .some) = error { return number }
      return nil
    }
  }

  @Test("a pass over the limits is told to come again, and when, after its wait")
  func refused() throws {
    let queue = queue(3, perPeer: 2, waitSeconds: 0.1)
    let first = try queue.enter("a") { false }
    _ = try queue.enter("a") { false }
    #expect(number { () throws(PassError) in try queue.enter("a") { false } } == .busy)
    _ = try queue.enter("b") { false }
    #expect(number { () throws(PassError) in try queue.enter("b") { false } } == .busy, "3 run in all")
    queue.leave(first)
    _ = try queue.enter("b") { false }
    #expect(queue.counts == (3, 0))
  }

  @Test("a peer without a pass never waits for those of others, however many run")
  func first() throws {
    let queue = queue(2, perPeer: 2, waitSeconds: 0.1)
    for _ in 0..<2 { _ = try queue.enter("a") { false } }
    for peer in ["b", "c", "d"] { _ = try queue.enter(peer) { false } }
    #expect(queue.counts.running == 5)
  }

  @Test("places go to the peer with the fewest passes, not to the one with the longest line")
  func fair() throws {
    let queue = queue(4, perPeer: 4)
    let places = try (0..<4).map { _ in try queue.enter("a") { false } }
    let other = try queue.enter("b") { false }
    let order = Monitor<[String]>([])
    var threads: [NamedThread] = []
    for (count, peer) in ["a", "a", "a", "b"].enumerated() {
      threads.append(
        NamedThread.start("waiting") {
          // The line is joined one after the other: each waits for the one before it to be in it.
          guard (try? queue.enter(peer) { false }) != nil else { return }
          order.withLock { $0.append(peer) }
        })
      let deadline = Deadline(seconds: 10)
      while queue.counts.waiting <= count, !deadline.hasPassed {
        _ = Monitor(false).wait(seconds: 0.005) { $0 ? true : nil }
      }
    }
    // Five run and four may: the second place that comes back is the first to be given.
    for place in places.prefix(2) { queue.leave(place) }
    #expect(order.wait(seconds: 10) { $0.isEmpty ? nil : $0.first } == "b")
    for place in places.suffix(2) { queue.leave(place) }
    queue.leave(other)
    #expect(order.wait(seconds: 10) { $0.count == 4 ? true : nil } != nil)
    for thread in threads { thread.join() }
  }

  @Test("long passes leave their places to others, and as many long ones again run at most")
  func longPasses() throws {
    let time = ManualTime()
    let queue = queue(3, perPeer: 2, waitSeconds: 0, time: time)
    func refusal(_ peer: String) -> String? {
      do throws(PassError) {
        _ = try queue.enter(peer) { false }
        return nil
      } catch { return "\(error)" }
    }
    for _ in 0..<2 { #expect(refusal("a") == nil) }
    #expect(refusal("a")?.contains("2 passes of this sender run here") == true)
    time.advance(seconds: TargetLimits.longPassSeconds - 1)
    #expect(refusal("a") != nil)
    time.advance(seconds: 1)
    for _ in 0..<2 { #expect(refusal("a") == nil) }
    time.advance(seconds: TargetLimits.longPassSeconds)
    // Four of one peer that are all long, and six in all.
    #expect(refusal("a")?.contains("4 passes of this sender run here") == true)
    for _ in 0..<2 { #expect(refusal("b") == nil) }
    #expect(refusal("b")?.contains("2 passes of this sender run here") == true)
    time.advance(seconds: TargetLimits.longPassSeconds)
    #expect(refusal("b")?.contains("6 passes run here already (limits.passes is 3") == true)
    #expect(refusal("c") == nil, "one without a pass never waits")
    #expect(queue.counts == (7, 0))
  }

  @Test("who waits in line gets the place of a pass that becomes a long one, without anybody's leaving")
  func becomesLong() throws {
    let time = ManualTime()
    let queue = queue(1, perPeer: 1, time: time)
    _ = try queue.enter("a") { false }
    let isIn = Monitor(false)
    let waiting = NamedThread.start("waiting") {
      guard (try? queue.enter("a") { false }) != nil else { return }
      isIn.withLock { $0 = true }
    }
    let deadline = Deadline(seconds: 10)
    while queue.counts.waiting == 0, !deadline.hasPassed {
      _ = Monitor(false).wait(seconds: 0.005) { $0 ? true : nil }
    }
    #expect(queue.counts == (1, 1))
    time.advance(seconds: TargetLimits.longPassSeconds)
    #expect(isIn.wait(seconds: 5) { $0 ? true : nil } == true)
    waiting.join()
  }

  @Test("an address may have as many connections as a peer, 16 at least, and never more than there are")
  func caps() {
    #expect(TargetLimits(connectionsPerPeer: 32).caps(total: 64).perAddress == 32)
    #expect(TargetLimits(connectionsPerPeer: 4).caps(total: 64).perAddress == 16)
    #expect(TargetLimits(connectionsPerPeer: 1024).caps(total: 100).perAddress == 100)
  }

  @Test("who waits for nothing any more leaves the line")
  func revoked() throws {
    let queue = queue(1, perPeer: 1)
    let place = try queue.enter("a") { false }
    #expect(number { () throws(PassError) in try queue.enter("a") { true } } == .busy)
    #expect(queue.counts == (1, 0))
    queue.leave(place)
    #expect(queue.counts == (0, 0))
  }

  @Test("a peer has no more connections than it may, and others have theirs")
  func connections() throws {
    let connections = PeerConnections(limit: 2)
    var refusals: [PassError] = []
    try connections.during("a") { () throws(PassError) in
      try connections.during("a") { () throws(PassError) in
        do throws(PassError) { try connections.during("a") { () throws(PassError) in } } catch {
          refusals.append(error)
        }
        try connections.during("b") { () throws(PassError) in }
      }
      try connections.during("a") { () throws(PassError) in }
    }
    #expect(refusals.map(\.remedy) == [.retryPass])
  }
}
