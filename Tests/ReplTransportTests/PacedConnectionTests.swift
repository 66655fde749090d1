import ReplIO
import ReplProtocol
import Testing

@testable import ReplTransport

/// A pace that the test holds in its hand: data waits until bytes are given.
private final class HandPace: SendPace {
  struct State {
    var bytes = 0
    var waiting = 0
    var isReleased = false
    var granted = 0
    var wireBytes: Int64 = 0
  }

  let state = Monitor(State())

  func waitForTurn(_ byteCount: Int) -> Int {
    state.withLock { $0.waiting += 1 }
    defer { state.withLock { $0.waiting -= 1 } }
    return state.wait(seconds: 30) { state -> Int? in
      if state.isReleased {
        state.granted += byteCount
        return byteCount
      }
      guard state.bytes > 0 else { return nil }
      let count = min(byteCount, state.bytes)
      state.bytes -= count
      state.granted += count
      return count
    } ?? byteCount
  }

  func noteSent(grantedBytes: Int, wireBytes: Int64) {
    state.withLock {
      $0.granted -= grantedBytes
      $0.wireBytes += wireBytes
    }
  }

  func release() { state.withLock { $0.isReleased = true } }
  func give(_ bytes: Int) { state.withLock { $0.bytes += bytes } }
}

@Suite("a connection with a pace", .serialized)
struct PacedConnectionTests {
  private let peers: Peers

  init() throws { peers = try Peers(sendStallSeconds: 1) }

  private func pair(_ pace: any SendPace) throws -> LoopbackPair { try LoopbackPair(peers, pace: pace) }

  @Test("data waits for its turns, before and inside of a frame; heartbeats and control frames do not")
  func turns() throws {
    let pace = HandPace()
    let pair = try pair(pace)
    let near = pair.near
    let payload = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let sending = Background("sending") { try near.send(.batch, bytes: payload) }
    #expect(pace.state.wait(seconds: 5) { $0.waiting == 1 ? true : nil } == true)
    try near.startHeartbeats(everySeconds: 0.02)
    try near.send(.hello, bytes: [1, 2])
    #expect(try pair.far.receivedBytes() == [1, 2], "a control frame overtakes data that waits")
    let silent = #expect(throws: TransportError.self) {
      try pair.far.receive(idleSeconds: 0.4, deadline: Deadline(seconds: 0.8))
    }
    #expect(silent?.code == .overdue, "heartbeats come all the time")
    pace.give(100_000)
    #expect(pace.state.wait(seconds: 5) { $0.bytes == 0 && $0.waiting == 1 ? true : nil } == true)
    pace.give(400_000)
    _ = try sending.value()
    #expect(pace.state.withLock { $0.granted } == 0, "every byte that was granted is accounted for")
    #expect(pace.state.withLock { $0.bytes } == 500_000 - 300_016)
    near.close()
    pair.finish()
  }

  @Test("the pace is told of every byte that goes into the socket, handshake included")
  func accounts() throws {
    let pace = HandPace()
    pace.give(10 << 20)
    let pair = try pair(pace)
    for size in [40, 70_000, 1_000_000] {
      try pair.near.send(.batch, bytes: [UInt8](repeating: 5, count: size))
      #expect(try pair.far.receive(idleSeconds: 10).payload.count == size)
    }
    try pair.near.send(.goodbye, bytes: [1, 2])
    #expect(pace.state.withLock { $0.wireBytes } == pair.near.wireBytesSent)
    #expect(throws: TransportError.self) {
      try pair.near.send(.batch, bytes: [UInt8](repeating: 0, count: 2 << 20))
    }
    #expect(pace.state.withLock { $0.granted } == 0, "what was granted and refused is given back")
    pair.near.close()
    pair.finish()
  }

  @Test(
    "an interruption wakes data that waits at once, before and inside of a frame", arguments: [0, 50_000])
  func interruption(_ given: Int) throws {
    let pace = HandPace()
    pace.give(given)
    let pair = try pair(pace)
    let near = pair.near
    let sending = Background("sending") {
      try near.send(.batch, bytes: [UInt8](repeating: 1, count: 300_000))
    }
    #expect(pace.state.wait(seconds: 5) { $0.bytes == 0 && $0.waiting == 1 ? true : nil } == true)
    let watch = Stopwatch()
    near.interrupt()
    let error = #expect(throws: TransportError.self) { try sending.value() }
    #expect(error?.code == .interrupted && watch.seconds < 2)
    #expect(pace.state.withLock { $0.granted } == 0)
    pair.finish()
  }

  @Test("a peer that takes nothing is given up in its time, however long data waited for its turn before")
  func stall() throws {
    let pace = HandPace()
    let pair = try pair(pace)
    let near = pair.near
    let sending = Background("sending") {
      while true { try near.send(.batch, bytes: [UInt8](repeating: 1, count: 1_000_000)) }
    }
    #expect(pace.state.wait(seconds: 5) { $0.waiting == 1 ? true : nil } == true)
    // Longer than a peer may take nothing: waiting for a turn is no stall.
    #expect(pace.state.wait(seconds: 1.5) { $0.waiting == 0 ? true : nil } == nil)
    pace.give(1 << 30)
    let watch = Stopwatch()
    let error = #expect(throws: TransportError.self) { _ = try sending.value() }
    #expect(error?.code == .sendTimedOut, "\(error.map { "\($0)" } ?? "-")")
    #expect(watch.seconds < 10)
    near.close()
    pair.finish()
  }
}
