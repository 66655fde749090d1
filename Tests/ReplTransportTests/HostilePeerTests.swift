import Glibc
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import ReplTestKit
import Testing

@testable import ReplTransport

/// Authenticated peers that break the rules of the wire, and connections that are cut anywhere.
@Suite("hostile peers and cuts", .serialized)
struct HostilePeerTests {
  private let peers: Peers
  private let server: EchoServer

  init() throws {
    peers = try Peers()
    server = try EchoServer(peers)
  }

  /// TLS as one of ours, then these bytes.
  private func say(_ bytes: [UInt8]) throws -> TLSSession {
    let socket = try RawSocket(port: server.port)
    let session = try TLSSession.handshake(
      socket: dup(socket.descriptor), context: peers.client, deadline: Deadline(seconds: 5))
    try bytes.withUnsafeBytes { try session.write($0, deadline: Deadline(seconds: 5)) }
    return session
  }

  private let banner = Array("vmrepl 0.1.0 protocol 1-1\n".utf8)

  @Test(
    "a length of 0xFFFFFFFF and other headers against the rules end in a typed error",
    arguments: [
      // length, type, flags, reserved, sequence
      [0xFF, 0xFF, 0xFF, 0xFF, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [2, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
      [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ])
  func badHeader(_ header: [UInt8]) throws {
    let session = try say(banner + header)
    let ending = try server.ending(0)
    #expect(ending.code == .frame)
    #expect(ending.protocolError != nil)
    #expect(ending.remedy != .retryPass)
    session.interrupt()
    try server.expectAlive(peers)
  }

  @Test("a peer that leaves inside a frame, even with a proper farewell, has truncated it")
  func truncatedFrame() throws {
    for (index, bytes) in [[5, 0, 0], [5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9]].enumerated() {
      let session = try say(banner + bytes.map { UInt8($0) })
      session.close()
      let ending = try server.ending(index)
      #expect(ending.code == .truncatedFrame)
      #expect(ending.detail.contains("truncated frame"))
      #expect(ending.remedy == .retryPass)
    }
    let session = try say(banner)
    session.close()
    #expect(try server.ending(2).code == .closedByPeer)
  }

  @Test(
    "a line that is no banner is refused",
    arguments: [
      "GET / HTTP/1.1\r\n", "vmrepl  protocol 1-1\n", String(repeating: "vmrepl ", count: 30),
    ])
  func badBanner(_ line: String) throws {
    let session = try say(Array(line.utf8))
    guard case .failed(let error) = try server.refusal(0).reason else {
      Issue.record("not reported")
      return
    }
    #expect(error.code == .frame)
    session.interrupt()
    try server.expectAlive(peers)
  }

  @Test("versions that do not fit give both sides the same sentence")
  func versions() throws {
    var options = peers.clientOptions
    options.banner = try #require(Banner(product: "9.0", versions: 7...9))
    let target = HostPort(host: "127.0.0.1", port: server.port)
    let near = #expect(throws: TransportError.self) {
      try FrameConnection.connect(to: target, context: peers.client, options: options)
    }
    guard case .failed(let far) = try server.refusal(0).reason else {
      Issue.record("not reported")
      return
    }
    #expect(near?.detail == far.detail)
    #expect(
      far.detail.contains("sender 9.0 speaks 7-9, receiver 0.1.0-test speaks 1-1; upgrade the receiver first")
    )
    #expect(far.remedy == .stopVM || far.remedy == .abandonPass)
  }

  private func isCut(_ error: TransportError) -> Bool {
    switch error.code {
    case .truncatedFrame, .cut: true
    case .tls: error.tlsError?.code == .truncated || error.tlsError?.code == .connectionLost
    default: false
    }
  }

  /// hello, a batch and goodbye through a proxy; nil when all of it went well.
  private func converse(_ port: UInt16) -> TransportError? {
    do throws(TransportError) {
      let connection = try peers.dial(port)
      defer { connection.close() }
      try connection.send(.hello, bytes: [1, 2, 3])
      _ = try connection.receive(idleSeconds: 10)
      try connection.send(.batch, bytes: [UInt8](repeating: 5, count: 300))
      let echo = try connection.receive(idleSeconds: 10)
      #expect(echo.payload.elementsEqual(repeatElement(5, count: 300)))
      try connection.send(.goodbye, bytes: [1, 2])
      return nil
    } catch {
      return error
    }
  }

  @Test(
    "a cut at any byte, in either direction, is a typed error on both sides; the listener lives"
  )
  func cuts() throws {
    let seed = Int.random(in: 0...999_999)
    print("cuts: seed \(seed)")
    let proxy = try FaultyProxy(to: server.port)
    defer { proxy.stop() }
    #expect(converse(proxy.port) == nil)
    let total = (toServer: proxy.bytesToServer, toClient: proxy.bytesToClient)
    #expect(total.toServer > 1000 && total.toClient > 1000)
    for direction in FaultyProxy.Direction.allCases {
      let length = direction == .toServer ? total.toServer : total.toClient
      // Every byte of the last frames and a sample of the handshake.
      let start = seed % 11
      let positions = Array(stride(from: start, to: length - 60, by: 11)) + Array((length - 60)..<length)
      for position in positions {
        proxy.plan([
          .init(direction: direction, afterBytes: position, kind: position % 2 == 1 ? .reset : .cut)
        ])
        let watch = Stopwatch()
        if let error = converse(proxy.port) {
          #expect(isCut(error), "\(direction) \(position): \(error)")
        } else {
          // Only the farewell was cut. Signatures differ in length, and so do conversations, by a few bytes.
          #expect(position > length - 70, "\(direction) \(position)")
        }
        #expect(watch.seconds < 5, "\(direction) \(position)")
      }
    }
    for ending in server.endings.withLock({ $0 }) { #expect(isCut(ending), "\(ending)") }
    for refusal in server.refusals.withLock({ $0 }) {
      guard case .failed(let error) = refusal.reason else {
        Issue.record("\(refusal)")
        continue
      }
      #expect(isCut(error), "\(error)")
    }
    try server.expectAlive(peers)
  }

  @Test("a client that leaves at any byte of its first message leaves the listener up")
  func disconnectInClientHello() throws {
    // A real ClientHello, taken from a dial of ours.
    let (listening, port) = try RawSocket.listening()
    let peers = self.peers
    let dialling = Background("dial") { try peers.dial(port) }
    let hello = try #require(listening.accept()).receive()
    #expect(throws: TransportError.self) { _ = try dialling.value() }
    #expect(hello.count > 100)
    for count in 0..<hello.count {
      let socket = try RawSocket(port: server.port)
      socket.send(hello.prefix(count))
      if count % 2 == 1 { socket.closeWithReset() }
    }
    #expect(server.refusals.wait(seconds: 20) { $0.count >= hello.count ? true : nil } == true)
    try server.expectAlive(peers)
  }
}
