import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import ReplTransport

/// The data in frames over TLS through the loopback interface, until the other end says that it has all.
enum TransportLoop {
  static func send(_ inputs: Inputs) throws -> Double {
    let near = try TLSIdentity.create(in: inputs.folderPath + "/near", name: "near")
    let far = try TLSIdentity.create(in: inputs.folderPath + "/far", name: "far")
    let client = try TLSContext(
      role: .client, identity: near,
      policy: PeerPolicy(pinned: [.init(name: "far", fingerprint: far.fingerprint)]))
    let server = try TLSContext(
      role: .server, identity: far,
      policy: PeerPolicy(pinned: [.init(name: "near", fingerprint: near.fingerprint)]))
    guard let banner = Banner(product: "0-bench") else { throw BenchError("no banner") }
    let listener = try Listener(
      address: HostPort(host: "127.0.0.1", port: 0), context: server,
      options: TransportOptions(banner: banner, program: .receiver))
    let expected = inputs.data.count
    listener.start { connection in
      // The connection's end is the other thread's to report.
      try? receive(on: connection, bytesPerTurn: expected)
    } onRefused: { _ in
    }
    defer { listener.stop() }
    let connection = try FrameConnection.connect(
      to: HostPort(host: "127.0.0.1", port: listener.localPort), context: client,
      options: TransportOptions(banner: banner, program: .sender))
    defer { connection.close() }
    let pieces = inputs.pieces
    return try Rate.measure(bytes: inputs.data.count) {
      for piece in pieces { try connection.send(.batch, [piece]) }
      guard try connection.receive().type == .ack else { throw BenchError("no acknowledgement came") }
    }
  }

  /// Acknowledges as often as so many bytes have come.
  private static func receive(on connection: FrameConnection, bytesPerTurn: Int) throws {
    let acknowledgement = [UInt8](repeating: 0x20, count: 64)
    var received = 0
    while true {
      received += try connection.receive().payload.count
      if received == bytesPerTurn {
        try connection.send(.ack, bytes: acknowledgement)
        received = 0
      }
    }
  }
}
