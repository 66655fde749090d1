import Glibc
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import Testing

@testable import ReplTransport

@Suite("frames over TLS", .serialized)
struct FrameConnectionTests {
  private let peers: Peers

  init() throws { peers = try Peers() }

  private func bytes(_ count: Int, seed: Int = 1) -> [UInt8] {
    let unit = (0..<4099).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 131 >> 3) }
    var bytes: [UInt8] = []
    while bytes.count < count { bytes += unit }
    return Array(bytes.prefix(count))
  }

  @Test("frames of every size come back whole, numbered from 0, and both ends know each other")
  func echo() throws {
    let server = try EchoServer(peers)
    let connection = try peers.dial(server.port)
    #expect(connection.peer.name == "dr")
    #expect(connection.remoteBanner.product == "0.1.0-test")
    #expect(connection.protocolVersion == 1)
    let largest = ProtocolLimits.standard.payloadLengths(of: .batch).upperBound
    for (index, count) in [34, 100, 16_368, 65_536, 262_128, 262_129, 600_000, largest, 50].enumerated() {
      let payload = bytes(count, seed: index)
      #expect(try connection.send(.batch, bytes: payload) == UInt64(index))
      let frame = try connection.receive(idleSeconds: 10)
      #expect(frame.sequence == UInt64(index))
      #expect(frame.type == .batch)
      #expect(frame.payload.elementsEqual(payload), "\(count) bytes")
    }
    #expect(connection.wireBytesSent > Int64(largest) && connection.wireBytesReceived > Int64(largest))
    try connection.send(.goodbye, bytes: [1, 2])
    connection.close()
  }

  @Test("a frame's parts arrive as one payload, however they are cut")
  func parts() throws {
    let server = try EchoServer(peers)
    let connection = try peers.dial(server.port)
    let payload = bytes(1_000_000)
    for cuts in [
      [0, 1, 2, 40], [262_000, 262_144], [10, 300_000, 300_001, 999_999], [262_128, 700_000], [],
    ] {
      let ends = [0] + cuts + [payload.count]
      try payload.withUnsafeBytes { buffer in
        let parts = zip(ends, ends.dropFirst()).map { UnsafeRawBufferPointer(rebasing: buffer[$0..<$1]) }
        _ = try connection.send(.batch, parts)
      }
      #expect(try connection.receivedBytes() == payload, "\(cuts)")
    }
  }

  @Test("many threads send at once; every frame arrives whole and in the order of its number")
  func manySenders() throws {
    let pair = try LoopbackPair(peers)
    let (near, far) = (pair.near, pair.far)
    let writers = (0..<4).map { writer in
      Background("writer \(writer)") {
        for index in 0..<60 {
          let size = 40 + (writer * 7919 + index * 104_729) % 90_000
          try near.send(.batch, bytes: [UInt8](repeating: UInt8(writer), count: size))
        }
      }
    }
    try near.startHeartbeats(everySeconds: 0.005)
    var counts = [0, 0, 0, 0]
    for _ in 0..<240 {
      let frame = try far.receive(idleSeconds: 10)
      let first = frame.payload[0]
      let isWhole = frame.payload.allSatisfy { $0 == first }
      #expect(isWhole)
      counts[Int(first)] += 1
    }
    #expect(counts == [60, 60, 60, 60])
    for writer in writers { try writer.value() }
    far.interrupt()
    near.close()
    pair.finish()
  }

  @Test("a payload over its limit is refused before a byte is out, and the connection lives")
  func overLimit() throws {
    let server = try EchoServer(peers)
    let connection = try peers.dial(server.port)
    let error = #expect(throws: TransportError.self) { try connection.send(.heartbeat, bytes: [1]) }
    #expect(error?.code == .frame)
    #expect(throws: TransportError.self) {
      try connection.send(.hello, bytes: [UInt8](repeating: 0, count: 2 << 20))
    }
    #expect(try connection.send(.hello, bytes: [7, 7]) == 0)
    #expect(try connection.receivedBytes() == [7, 7])
  }

  @Test("a silent peer is idle, and one that only sends heartbeats is alive but overdue")
  func idleAndOverdue() throws {
    let pair = try LoopbackPair(peers)
    let (near, far) = (pair.near, pair.far)
    try far.startHeartbeats(everySeconds: 0.05)
    let watch = Stopwatch()
    let overdue = #expect(throws: TransportError.self) {
      try near.receive(idleSeconds: 0.4, deadline: Deadline(seconds: 1))
    }
    #expect(overdue?.code == .overdue)
    #expect(watch.seconds >= 1 && watch.seconds < 5)
    let idle = #expect(throws: TransportError.self) { try far.receive(idleSeconds: 0.3) }
    #expect(idle?.code == .idle)
    #expect(idle?.remedy == .retryPass)
    near.close()
    far.close()
    pair.finish()
  }

  @Test("heartbeats keep a quiet connection alive far beyond its idle time, and end with it at once")
  func heartbeats() throws {
    let server = try EchoServer(peers, idleSeconds: 0.4)
    let connection = try peers.dial(server.port)
    try connection.startHeartbeats(everySeconds: 0.1)
    poll(nil, 0, 1500)
    try connection.send(.hello, bytes: [4, 2])
    #expect(try connection.receivedBytes() == [4, 2])
    let watch = Stopwatch()
    connection.close()
    #expect(watch.seconds < 2)
    let slow = try peers.dial(server.port)
    try slow.startHeartbeats(everySeconds: 3600)
    let second = Stopwatch()
    slow.close()
    #expect(second.seconds < 2)
  }

  @Test("a peer that never reads is given up after the stall time, also by the heartbeat thread")
  func neverReads() throws {
    let pair = try LoopbackPair(try Peers(sendStallSeconds: 0.5))
    let (near, far) = (pair.near, pair.far)
    try near.startHeartbeats(everySeconds: 0.05)
    let payload = bytes(1 << 20)
    let watch = Stopwatch()
    let error = #expect(throws: TransportError.self) { while true { try near.send(.batch, bytes: payload) } }
    #expect(error?.code == .sendTimedOut)
    #expect(watch.seconds < 10)
    let again = #expect(throws: TransportError.self) { try near.send(.hello, bytes: [1, 2]) }
    #expect(again?.code == .sendTimedOut)
    let closing = Stopwatch()
    near.close()
    #expect(closing.seconds < 2)
    far.close()
    pair.finish()
  }

  @Test("interrupt wakes a receiver and a sender on both ends")
  func interrupt() throws {
    let pair = try LoopbackPair(peers)
    let (near, far) = (pair.near, pair.far)
    let payload = bytes(1 << 20)
    let receiving = Background("receive") { try near.receivedBytes(60) }
    let sending = Background("send") { while true { try near.send(.batch, bytes: payload) } }
    var before: Int64 = -1
    let filled = Deadline(seconds: 10)
    while near.wireBytesSent != before, !filled.hasPassed {
      before = near.wireBytesSent
      poll(nil, 0, 100)
    }
    near.interrupt()
    let received = #expect(throws: TransportError.self) { try receiving.value(seconds: 5) }
    let sent = #expect(throws: TransportError.self) { _ = try sending.value(seconds: 5) }
    #expect(received?.code == .interrupted && sent?.code == .interrupted)
    far.interrupt()
    pair.finish()
  }

  @Test("the last frame before a close arrives, even when the other side was sending all the time")
  func lastWords() throws {
    let listener = try peers.listener()
    listener.start { connection in
      // Refuses after the first frame, like a receiver that finds a fenced VM.
      do {
        _ = try connection.receive(idleSeconds: 10)
        try connection.send(.error, bytes: Array("fenced".utf8))
      } catch { Issue.record(error) }
    } onRefused: { _ in
    }
    for _ in 0..<10 {
      let connection = try peers.dial(listener.localPort)
      let payload = bytes(1 << 20)
      // Nobody reads until the writer has found out.
      let cut = #expect(throws: TransportError.self) {
        while true { try connection.send(.batch, bytes: payload) }
      }
      #expect(cut?.code == .cut)
      #expect(String(decoding: try connection.receivedBytes(), as: UTF8.self) == "fenced")
      connection.close()
    }
    listener.stop()
  }

  @Test("a name without an address, a closed port and a bad local address are named")
  func unreachable() throws {
    func dial(_ target: HostPort) -> TransportError? {
      #expect(throws: TransportError.self) {
        try FrameConnection.connect(to: target, context: peers.client, options: peers.clientOptions)
      }
    }
    let name = dial(HostPort(host: "no..such..host", port: 1))
    #expect(name?.code == .unresolved)
    #expect(name?.detail.contains("no..such..host") == true)
    let (closed, port) = try RawSocket.listening()
    close(closed.descriptor)
    let refused = dial(HostPort(host: "127.0.0.1", port: port))
    #expect(refused?.code == .unreachable)
    #expect(refused?.description.contains("127.0.0.1:\(port): Connection refused") == true)
    let local = #expect(throws: TransportError.self) {
      try Listener(
        address: HostPort(host: "192.0.2.77", port: 1), context: peers.server, options: peers.serverOptions)
    }
    #expect(local?.code == .cannotListen)
  }

  @Test("a dial that nobody answers ends at its deadline, and another thread can call it off")
  func dialling() throws {
    let peers = self.peers
    let (listening, port) = try RawSocket.listening(backlog: 0)
    // The kernel takes one or two, then lets further ones wait.
    let fillers = (0..<4).map { _ in Background("filler") { try RawSocket(port: port) } }
    poll(nil, 0, 200)
    let target = HostPort(host: "127.0.0.1", port: port)
    let watch = Stopwatch()
    let late = #expect(throws: TransportError.self) {
      try FrameConnection.connect(
        to: target, context: peers.client, options: peers.clientOptions, deadlineSeconds: 0.5)
    }
    #expect(late?.code == .unreachable)
    #expect(watch.seconds < 5)
    let attempt = ConnectionAttempt()
    let dialling = Background("dial") {
      try FrameConnection.connect(
        to: target, context: peers.client, options: peers.clientOptions, deadlineSeconds: 60, attempt: attempt
      )
    }
    poll(nil, 0, 100)
    attempt.cancel()
    let cancelled = #expect(throws: TransportError.self) { _ = try dialling.value(seconds: 5) }
    #expect(cancelled?.code == .interrupted)
    _ = (fillers, listening)
  }

  @Test("IPv6 loopback works where the machine has it")
  func ipv6() throws {
    let listener: Listener
    do throws(TransportError) {
      listener = try Listener(
        address: HostPort(host: "::1", port: 0), context: peers.server, options: peers.serverOptions)
    } catch {
      #expect(error.code == .cannotListen)
      return
    }
    listener.start {
      $0.close()
    } onRefused: { _ in
    }
    let connection = try FrameConnection.connect(
      to: HostPort(host: "::1", port: listener.localPort), context: peers.client, options: peers.clientOptions
    )
    #expect(connection.peerAddress == "[::1]:\(listener.localPort)")
    connection.close()
    listener.stop()
  }
}
