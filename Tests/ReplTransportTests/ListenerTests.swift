import Glibc
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import Testing

@testable import ReplTransport

@Suite("listener", .serialized)
struct ListenerTests {
  private let peers: Peers

  init() throws { peers = try Peers() }

  @Test("idle, half-open, half-greeted and busy peers do not keep stop from ending within five seconds")
  func stop() throws {
    let server = try EchoServer(peers, idleSeconds: 60)
    let port = server.port
    // TCP only; the beginning of a ClientHello; a whole connection that is idle; one that never reads.
    let silent = try RawSocket(port: port)
    let half = try RawSocket(port: port)
    half.send([22, 3, 1, 1])
    let idle = try peers.dial(port)
    try idle.startHeartbeats(everySeconds: 0.05)
    let deaf = try peers.dial(port)
    let flood = Background("flood") {
      let payload = [UInt8](repeating: 1, count: 1 << 20)
      while true { try deaf.send(.batch, bytes: payload) }
    }
    try idle.send(.hello, bytes: [1, 2])
    #expect(try idle.receivedBytes() == [1, 2])
    let full = Deadline(seconds: 10)
    while server.listener.connectionCount < 4, !full.hasPassed { poll(nil, 0, 20) }
    #expect(server.listener.connectionCount == 4)
    let watch = Stopwatch()
    #expect(server.listener.stop())
    #expect(watch.seconds < 2)
    #expect(server.listener.connectionCount == 0)
    for socket in [silent, half] { #expect(socket.waitForEnd(seconds: 5)) }
    #expect(throws: TransportError.self) { try idle.receivedBytes() }
    #expect(throws: TransportError.self) { _ = try flood.value(seconds: 5) }
    #expect(throws: IOError.self) { try RawSocket(port: port) }
    idle.close()
    deaf.close()
  }

  @Test("a serve that does not come back does not hold stop longer than it was told, and is reported")
  func stubborn() throws {
    let listener = try peers.listener()
    let (began, release) = (Monitor(false), Monitor(false))
    listener.start { _ in
      began.withLock { $0 = true }
      while release.wait(seconds: 60, { $0 ? true : nil }) == nil {}
    } onRefused: { _ in
    }
    let connection = try peers.dial(listener.localPort)
    #expect(began.wait(seconds: 10) { $0 ? true : nil } == true)
    let watch = Stopwatch()
    #expect(!listener.stop(withinSeconds: 0.3))
    #expect(watch.seconds < 3)
    release.withLock { $0 = true }
    connection.interrupt()
  }

  @Test("connections that end by themselves in the time that stop gives them are not cut")
  func grace() throws {
    let server = try EchoServer(peers, idleSeconds: 60)
    let connection = try peers.dial(server.port)
    try connection.send(.hello, bytes: [1, 2])
    #expect(try connection.receivedBytes() == [1, 2])
    let watch = Stopwatch()
    let stopping = Background("stop") { server.listener.stop(graceSeconds: 20) }
    let refused = Deadline(seconds: 10)
    // Once nobody new is taken, who is there still has an answer.
    while (try? peers.dial(server.port).close()) != nil, !refused.hasPassed { poll(nil, 0, 5) }
    try connection.send(.hello, bytes: [3, 4])
    #expect(try connection.receivedBytes() == [3, 4])
    try connection.send(.goodbye, bytes: [1, 2])
    #expect(try stopping.value() && watch.seconds < 15)
    connection.close()
  }

  @Test("stop before start, and twice, is harmless")
  func stopEarly() throws {
    let listener = try peers.listener()
    #expect(listener.stop())
    #expect(listener.stop())
    listener.run({ _ in Issue.record("served") }, onRefused: { _ in })
    #expect(throws: IOError.self) { try RawSocket(port: listener.localPort) }
  }

  @Test("a peer that does not finish its handshake is dropped at the deadline and reported")
  func handshakeDeadline() throws {
    let server = try EchoServer(peers, caps: .init(handshakeSeconds: 0.4))
    let silent = try RawSocket(port: server.port)
    let watch = Stopwatch()
    #expect(silent.waitForEnd(seconds: 10))
    #expect(watch.seconds >= 0.3 && watch.seconds < 3)
    guard case .failed(let error) = try server.refusal(0).reason else {
      Issue.record("not reported as failed")
      return
    }
    #expect(error.tlsError?.code == .timedOut)
    #expect(error.peer.hasPrefix("127.0.0.1:"))
    // One byte a moment does not prolong it.
    let slow = try RawSocket(port: server.port)
    let second = Stopwatch()
    for byte: UInt8 in [22, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3] {
      slow.send([byte])
      poll(nil, 0, 100)
    }
    #expect(slow.waitForEnd(seconds: 10))
    #expect(second.seconds < 4)
    try server.expectAlive(peers)
  }

  @Test("after TLS, a peer that sends no banner is dropped at the same deadline")
  func bannerDeadline() throws {
    let server = try EchoServer(peers, caps: .init(handshakeSeconds: 0.5))
    let socket = try RawSocket(port: server.port)
    let session = try TLSSession.handshake(
      socket: dup(socket.descriptor), context: peers.client, deadline: Deadline(seconds: 5))
    guard case .failed(let error) = try server.refusal(0).reason else {
      Issue.record("not reported as failed")
      return
    }
    #expect(error.code == .overdue)
    session.interrupt()
    try server.expectAlive(peers)
  }

  private func waitUntilEmpty(_ server: EchoServer) {
    let emptied = Deadline(seconds: 10)
    while server.listener.connectionCount > 0, !emptied.hasPassed { poll(nil, 0, 10) }
    #expect(server.listener.connectionCount == 0)
  }

  @Test(
    "over the caps strangers give way, peers do not: the newcomer is closed; all reported, places come back")
  func caps() throws {
    let caps = Listener.Caps(total: 8, perAddress: 3, reservedForKnownAddresses: 2, handshakeSeconds: 30)
    let server = try EchoServer(peers, caps: caps)
    // 127.0.0.1 becomes known.
    try server.expectAlive(peers)
    waitUntilEmpty(server)
    // Three from one address are let in; for the fourth the first gives way.
    var held = try (0..<4).map { _ in try RawSocket(port: server.port, source: 2) }
    #expect(held[0].waitForEnd(seconds: 5))
    guard case .displaced = try server.refusal(0).reason else {
      Issue.record("wrong reason")
      return
    }
    // Strangers fill all but the reserved places; the next one pushes out one of the address with most.
    for source: UInt8 in [3, 4, 5, 6] { held.append(try RawSocket(port: server.port, source: source)) }
    #expect(held[1].waitForEnd(seconds: 5))
    guard case .displaced = try server.refusal(1).reason else {
      Issue.record("wrong reason")
      return
    }
    // Two of our own take the reserved places, a third one that of a stranger; a fourth is over the share.
    let ours = try (0..<3).map { _ in
      let connection = try peers.dial(server.port)
      try connection.send(.hello, bytes: [1, 2])
      #expect(try connection.receivedBytes() == [1, 2])
      return connection
    }
    #expect(throws: TransportError.self) { try peers.dial(server.port) }
    #expect(
      server.refusals.wait(seconds: 10) { all in
        all.contains { if case .overPerAddress(limit: 3) = $0.reason { true } else { false } } ? true : nil
      } == true)
    for connection in ours {
      try connection.send(.hello, bytes: [3, 4])
      #expect(try connection.receivedBytes() == [3, 4])
      connection.close()
    }
    held.removeAll()
    waitUntilEmpty(server)
  }

  @Test("a thousand idle connections cost no more than the cap, and a known peer still gets in")
  func flood() throws {
    let caps = Listener.Caps(total: 24, perAddress: 8, reservedForKnownAddresses: 4, handshakeSeconds: 60)
    let server = try EchoServer(peers, caps: caps)
    try server.expectAlive(peers)
    var held: [RawSocket] = []
    for index in 0..<1000 {
      held.append(try RawSocket(port: server.port, source: UInt8(2 + index % 5)))
      #expect(server.listener.connectionCount <= 24 + TransportLimits.leavingConnections)
    }
    #expect(server.refusals.wait(seconds: 20) { $0.count >= 980 ? true : nil } == true)
    try server.expectAlive(peers)
    #expect(server.listener.connectionCount <= 21)
  }

  @Test("amid a flood a peer gets in that was never seen before, and from the flood's own address")
  func unknownInFlood() throws {
    let caps = Listener.Caps(total: 24, perAddress: 8, reservedForKnownAddresses: 4, handshakeSeconds: 60)
    let server = try EchoServer(peers, caps: caps)
    // As after a restart: no address is known. 127.0.0.1 is ours, and the flood's as well.
    var held: [RawSocket] = []
    for index in 0..<200 { held.append(try RawSocket(port: server.port, source: UInt8(1 + index % 8))) }
    for _ in 0..<5 {
      try server.expectAlive(peers)
      for _ in 0..<20 { held.append(try RawSocket(port: server.port, source: 1)) }
    }
  }

  @Test("running out of descriptors slows the listener down without a busy loop, and it recovers")
  func outOfDescriptors() async {
    await #expect(processExitsWith: .success) {
      let peers = try Peers()
      let server = try EchoServer(peers)
      let lowest = open("/dev/null", O_RDONLY)
      close(lowest)
      // Room for the test's own end of one connection, none for the listener's.
      var limit = rlimit(rlim_cur: rlim_t(lowest + 1), rlim_max: rlim_t(lowest + 100))
      try #require(setrlimit(__rlimit_resource_t(7), &limit) == 0)
      let waiting = try RawSocket(port: server.port)
      guard case .system(EMFILE) = try server.refusal(0).reason else { exit(2) }
      let before = clock()
      poll(nil, 0, 1500)
      let busySeconds = Double(clock() - before) / 1_000_000
      try #require(busySeconds < 0.5)
      try #require(server.refusals.withLock { $0.count } < 10)
      limit.rlim_cur = limit.rlim_max
      try #require(setrlimit(__rlimit_resource_t(7), &limit) == 0)
      try server.expectAlive(peers)
      _ = waiting
      exit(0)
    }
  }
}
