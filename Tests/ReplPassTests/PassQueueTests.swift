import ReplIO
import ReplModel
import ReplProtocol
import Synchronization
import Testing

@testable import ReplPass

/// Places for passes at the receiver.
@Suite(.serialized) struct PassQueueTests {
  private func queue(_ passes: Int, perPeer: Int, waitSeconds: Double = 10) -> PassQueue {
    PassQueue(limits: TargetLimits(passes: passes, passesPerPeer: perPeer), waitSeconds: waitSeconds)
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
    _ = try queue.enter("b") { false }
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
    queue.leave(places[0])
    #expect(order.wait(seconds: 10) { $0.count == 4 ? true : nil } != nil)
    for thread in threads { thread.join() }
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
