import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplTLS

@Suite("session", .serialized)
struct TLSSessionTests {
  /// Bytes whose order shows: the period fits no record size.
  private func pattern(_ count: Int) -> [UInt8] {
    let unit = (0..<4099).map { UInt8(truncatingIfNeeded: $0 &* 131 >> 3) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + unit.count)
    while bytes.count < count { bytes += unit }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  @Test("two ends that pin each other know each other's name, agree on TLS 1.3 and close with a farewell")
  func handshake() throws {
    let pairing = try Pairing()
    let (client, server) = try pairing.sessions()
    #expect(client.peer == PeerIdentity(name: "dr", fingerprint: pairing.server.fingerprint))
    #expect(server.peer == PeerIdentity(name: "primary", fingerprint: pairing.client.fingerprint))
    #expect(server.peerCertificate.commonName == "primary")
    try client.writeAll([1, 2, 3])
    #expect(try server.readAll(3) == [1, 2, 3])
    let closing = Background("close") { client.close() }
    var byte = [UInt8](repeating: 0, count: 1)
    let count = try byte.withUnsafeMutableBytes { try server.read(into: $0, deadline: Deadline(seconds: 10)) }
    #expect(count == 0)
    server.close()
    try closing.value()
    client.close()
    #expect(throws: TLSError.self) { try client.writeAll([1]) }
  }

  @Test("both directions carry megabytes at once, and the bytes below TLS are counted")
  func bothDirections() throws {
    let (client, server) = try Pairing().sessions()
    let data = pattern(6 << 20)
    let writers = [client, server].map { end in Background("writer") { try end.writeAll(data) } }
    let readers = [client, server].map { end in Background("reader") { try end.readAll(data.count) } }
    for writer in writers { try writer.value() }
    for reader in readers { #expect(try reader.value() == data) }
    // 22 bytes a record (RFC 8446 section 5.2), 16 KiB of data in each, and a handshake of a few KiB.
    let expected = Int64(data.count + data.count / 16_384 * 22)
    for end in [client, server] {
      #expect(end.wireBytesSent > expected && end.wireBytesSent < expected + 8192)
      #expect(end.wireBytesReceived > expected && end.wireBytesReceived < expected + 8192)
    }
    #expect(client.wireBytesSent == server.wireBytesReceived)
  }

  @Test("the sending key is changed in time, in the middle of traffic in both directions")
  func keyUpdate() throws {
    let pairing = try Pairing()
    let (near, far) = try LoopbackListener().pair()
    let server = try TLSSession(
      socket: ConnectedSocket(adopting: far), context: pairing.serverContext, bytesPerSendingKey: 200_000)
    let client = try TLSSession(
      socket: ConnectedSocket(adopting: near), context: pairing.clientContext, bytesPerSendingKey: 100_000)
    let accepting = Background("accept") { try server.shakeHands(Deadline(seconds: 10)) }
    try client.shakeHands(Deadline(seconds: 10))
    try accepting.value()
    let data = pattern(3 << 20)
    let ends = [client, server]
    let writers = ends.map { end in Background("writer") { try end.writeAll(data) } }
    let readers = ends.map { end in Background("reader") { try end.readAll(data.count) } }
    for writer in writers { try writer.value() }
    for reader in readers { #expect(try reader.value() == data) }
    #expect(client.lock.withLock { $0.bytesUnderThisKey } < 200_000)
  }

  @Test("a stream that ends without a farewell is truncated, not finished")
  func truncated() throws {
    let pairing = try Pairing()
    let (client, server) = try pairing.sessions()
    try client.writeAll([9])
    // FIN and nothing else, as a proxy or a dying peer would.
    shutdown(client.socket.descriptor, Int32(SHUT_WR))
    #expect(try server.readAll(1) == [9])
    let error = #expect(throws: TLSError.self) { try server.readAll(1) }
    #expect(error?.code == .truncated)
    #expect(error?.remedy == .retryPass)
  }

  @Test("a reset connection is lost, with the system's reason")
  func reset() throws {
    let (client, server) = try Pairing().sessions()
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(
      client.socket.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    // dup2 closes the descriptor's socket at once without freeing the number.
    let null = open("/dev/null", O_RDWR)
    dup2(null, client.socket.descriptor)
    close(null)
    let error = #expect(throws: TLSError.self) { try server.readAll(1) }
    #expect(error?.code == .connectionLost)
    #expect(error?.systemCode == ECONNRESET)
  }

  @Test("reading and writing end at their deadlines, and a writer that was stopped in a record stays stopped")
  func deadlines() throws {
    let (client, server) = try Pairing().sessions()
    let started = Deadline(seconds: 5)
    let silent = #expect(throws: TLSError.self) { try server.readAll(1, seconds: 0.1) }
    #expect(silent?.code == .timedOut)
    let stuck = #expect(throws: TLSError.self) { try client.writeAll(pattern(32 << 20), seconds: 0.3) }
    #expect(stuck?.code == .timedOut)
    let after = #expect(throws: TLSError.self) { try client.writeAll([1]) }
    #expect(after?.code == .connectionLost)
    #expect(!started.hasPassed)
  }

  @Test("interrupt wakes a reader and a writer that are blocked")
  func interrupt() throws {
    let (client, server) = try Pairing().sessions()
    let reader = Background("reader") { try client.readAll(1, seconds: 60) }
    let data = pattern(32 << 20)
    let writer = Background("writer") { try client.writeAll(data, seconds: 60) }
    // The writer is stuck once nothing more goes out for a while.
    var before: Int64 = -1
    let filled = Deadline(seconds: 10)
    while client.wireBytesSent != before, !filled.hasPassed {
      before = client.wireBytesSent
      poll(nil, 0, 100)
    }
    client.interrupt()
    #expect(try reader.error(seconds: 5).code == .interrupted)
    #expect(try writer.error(seconds: 5).code == .interrupted)
    _ = server
  }

  @Test("interrupt wakes a handshake")
  func interruptHandshake() throws {
    let pairing = try Pairing()
    let (near, far) = try LoopbackListener().pair()
    defer { close(near) }
    let socket = ConnectedSocket(adopting: far)
    let context = pairing.serverContext
    let waiting = Background("handshake") {
      try TLSSession.handshake(socket: socket, context: context, deadline: Deadline(seconds: 60))
    }
    socket.interrupt()
    #expect(try waiting.error(seconds: 5).code == .interrupted)
  }

  @Test("a handshake with a silent peer ends at its deadline")
  func silentPeer() throws {
    let pairing = try Pairing()
    let (near, far) = try LoopbackListener().pair()
    defer { close(near) }
    let error = #expect(throws: TLSError.self) {
      try TLSSession.handshake(socket: far, context: pairing.serverContext, deadline: Deadline(seconds: 0.2))
    }
    #expect(error?.code == .timedOut)
  }

  @Test("a client whose key is not pinned learns it at its first read, even after writing a lot")
  func refusedClient() throws {
    let pairing = try Pairing()
    let stranger = try pairing.scratch.identity("stranger")
    let context = try TLSContext(role: .client, identity: stranger, policy: pairing.clientContext.policy)
    let serverContext = pairing.serverContext
    for bytes in [0, 1, 16 << 20] {
      let (near, far) = try LoopbackListener().pair()
      let accepting = Background("accept") {
        try TLSSession.handshake(socket: far, context: serverContext, deadline: Deadline(seconds: 10))
      }
      let session = try TLSSession.handshake(socket: near, context: context, deadline: Deadline(seconds: 10))
      let learned = #expect(throws: TLSError.self) {
        try session.writeAll(pattern(bytes))
        _ = try session.readAll(1)
      }
      #expect(learned?.code == .refusedByPeer)
      #expect(learned?.detail.contains("\(stranger.fingerprint)") == true)
      #expect(learned?.detail.contains("ask its operator to pin") == true)
      let refused = try accepting.error()
      #expect(refused.code == .peerRefused)
      #expect(refused.detail.contains("showed certificate \(stranger.fingerprint) (stranger)"))
      #expect(refused.detail.contains("expected one of \(pairing.client.fingerprint) (primary)"))
    }
  }

  @Test("a server whose key is not pinned is refused by the client, and is told")
  func refusedServer() throws {
    let pairing = try Pairing()
    let context = try TLSContext(
      role: .client, identity: pairing.client,
      policy: PeerPolicy(pinned: [.init(name: "dr", fingerprint: pairing.client.fingerprint)]))
    let (near, far) = try LoopbackListener().pair()
    let serverContext = pairing.serverContext
    let accepting = Background("accept") {
      try TLSSession.handshake(socket: far, context: serverContext, deadline: Deadline(seconds: 10))
    }
    let error = #expect(throws: TLSError.self) {
      try TLSSession.handshake(socket: near, context: context, deadline: Deadline(seconds: 10))
    }
    #expect(error?.code == .peerRefused)
    #expect(error?.remedy == .abandonPass)
    #expect(error?.detail.contains("showed certificate \(pairing.server.fingerprint) (dr)") == true)
    let told = try accepting.error()
    #expect(told.code == .refusedByPeer)
    #expect(told.detail.contains("refused our certificate \(pairing.server.fingerprint)"))
  }

  @Test("a context leaves SIGPIPE ignored")
  func signal() throws {
    _ = try Pairing()
    var action = sigaction()
    #expect(sigaction(SIGPIPE, nil, &action) == 0)
    #expect(
      unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self))
  }
}
