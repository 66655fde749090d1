import Foundation
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import ReplTransport
import Testing

/// Two identities that pin each other, made once for all tests of a suite.
final class Peers: Sendable {
  let client: TLSContext
  let server: TLSContext
  let clientOptions: TransportOptions
  let serverOptions: TransportOptions

  init(sendStallSeconds: Double = 10) throws {
    var template = Array("/tmp/repl-transport-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw IOError.current("make directory", path: "/tmp") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // What is left over in /tmp harms nobody.
    defer { try? FileManager.default.removeItem(atPath: path) }
    let near = try TLSIdentity.create(in: path + "/near", name: "primary")
    let far = try TLSIdentity.create(in: path + "/far", name: "dr")
    client = try TLSContext(
      role: .client, identity: near,
      policy: PeerPolicy(pinned: [.init(name: "dr", fingerprint: far.fingerprint)]))
    server = try TLSContext(
      role: .server, identity: far,
      policy: PeerPolicy(pinned: [.init(name: "primary", fingerprint: near.fingerprint)]))
    let banner = try #require(Banner(product: "0.1.0-test"))
    clientOptions = TransportOptions(banner: banner, program: .sender, sendStallSeconds: sendStallSeconds)
    serverOptions = TransportOptions(banner: banner, program: .receiver, sendStallSeconds: sendStallSeconds)
  }

  func listener(_ caps: Listener.Caps = Listener.Caps()) throws -> Listener {
    try Listener(
      address: HostPort(host: "127.0.0.1", port: 0), context: server, options: serverOptions, caps: caps)
  }

  func dial(_ port: UInt16, pace: (any SendPace)? = nil) throws(TransportError) -> FrameConnection {
    var options = clientOptions
    options.pace = pace
    return try FrameConnection.connect(
      to: HostPort(host: "127.0.0.1", port: port), context: client, options: options,
      deadlineSeconds: 10)
  }
}

/// A listener that sends every frame back, and keeps how each connection ended.
final class EchoServer: Sendable {
  let listener: Listener
  let endings = Monitor<[TransportError]>([])
  let refusals = Monitor<[RefusedConnection]>([])

  init(_ peers: Peers, caps: Listener.Caps = Listener.Caps(), idleSeconds: Double = 20) throws {
    listener = try peers.listener(caps)
    let (endings, refusals) = (self.endings, self.refusals)
    listener.start { connection in
      do {
        while true {
          let frame = try connection.receive(idleSeconds: idleSeconds)
          if frame.type == .goodbye { return }
          try connection.send(frame.type, [frame.payload])
        }
      } catch {
        let ending = error as? TransportError
        endings.withLock { if let ending { $0.append(ending) } }
      }
    } onRefused: { refused in
      refusals.withLock { $0.append(refused) }
    }
  }

  deinit { listener.stop() }

  var port: UInt16 { listener.localPort }

  func refusal(_ index: Int, seconds: Double = 15) throws -> RefusedConnection {
    try #require(refusals.wait(seconds: seconds) { $0.count > index ? $0[index] : nil })
  }

  func ending(_ index: Int, seconds: Double = 15) throws -> TransportError {
    try #require(endings.wait(seconds: seconds) { $0.count > index ? $0[index] : nil })
  }

  /// One whole conversation; the test of whether the listener lives.
  func expectAlive(_ peers: Peers) throws {
    let connection = try peers.dial(port)
    try connection.send(.hello, bytes: [1, 2, 3])
    #expect(try connection.receive(idleSeconds: 10).payloadBytes == [1, 2, 3])
    try connection.send(.goodbye, bytes: [1, 2])
    connection.close()
  }
}

/// A dialled connection and the listener's end of it.
final class LoopbackPair: Sendable {
  let near: FrameConnection
  let far: FrameConnection
  private let listener: Listener
  private let released = Monitor(false)

  init(_ peers: Peers, pace: (any SendPace)? = nil) throws {
    listener = try peers.listener()
    let accepted = Monitor<FrameConnection?>(nil)
    let released = self.released
    listener.start { connection in
      accepted.withLock { $0 = connection }
      // The listener closes the connection when this returns.
      while released.wait(seconds: 60, { $0 ? true : nil }) == nil {}
    } onRefused: { _ in
    }
    near = try peers.dial(listener.localPort, pace: pace)
    far = try #require(accepted.wait(seconds: 10) { $0 })
  }

  func finish() {
    released.withLock { $0 = true }
    #expect(listener.stop())
  }
}

/// A blocking call on a thread of its own whose result a test waits for with a deadline.
final class Background<Value: Sendable>: Sendable {
  private let result = Monitor<Result<Value, any Error>?>(nil)

  init(_ name: String, _ work: @escaping @Sendable () throws -> Value) {
    let result = self.result
    _ = NamedThread.start(name) {
      let value = Result { try work() }
      result.withLock { $0 = value }
    }
  }

  struct TimedOut: Error {}

  func value(seconds: Double = 20) throws -> Value {
    guard let result = result.wait(seconds: seconds, { $0 }) else { throw TimedOut() }
    return try result.get()
  }
}

/// Seconds since it was made.
struct Stopwatch {
  private let start = SystemTime().monotonicNanoseconds()
  var seconds: Double { Double(SystemTime().monotonicNanoseconds() - start) / 1e9 }
}

extension FrameConnection {
  func receivedBytes(_ seconds: Double = 10) throws -> [UInt8] {
    try receive(idleSeconds: seconds).payloadBytes
  }
}
