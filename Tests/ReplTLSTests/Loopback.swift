import Glibc
import ReplIO
import ReplModel
import ReplTLS

/// A listening TCP socket on 127.0.0.1.
final class LoopbackListener: Sendable {
  let descriptor: Int32
  let port: UInt16

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.address(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let fd = descriptor
    let bound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(fd, $0, length) == 0 && listen(fd, 64) == 0 && getsockname(fd, $0, &length) == 0
      }
    }
    guard bound else { throw IOError.current("listen", path: "127.0.0.1") }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }

  func accept() throws -> Int32 {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 15_000) == 1 else { throw IOError(.limit, "accept", path: "nobody came") }
    let accepted = Glibc.accept(descriptor, nil, nil)
    guard accepted >= 0 else { throw IOError.current("accept", path: "127.0.0.1") }
    return accepted
  }

  static func connect(port: UInt16) throws -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = address(port: port)
    let length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(fd, $0, length) }
    }
    guard result == 0 else { throw IOError.current("connect", path: "127.0.0.1:\(port)") }
    return fd
  }

  private static func address(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// Two connected descriptors: the caller's and the acceptor's.
  func pair() throws -> (Int32, Int32) {
    let client = try Self.connect(port: port)
    return (client, try accept())
  }
}

/// Two ends that pin each other.
struct Pairing {
  let scratch: Scratch
  let client: TLSIdentity
  let server: TLSIdentity
  let clientContext: TLSContext
  let serverContext: TLSContext

  init() throws {
    scratch = try Scratch()
    client = try scratch.identity("primary")
    server = try scratch.identity("dr")
    clientContext = try TLSContext(
      role: .client, identity: client,
      policy: PeerPolicy(pinned: [.init(name: "dr", fingerprint: server.fingerprint)]))
    serverContext = try TLSContext(
      role: .server, identity: server,
      policy: PeerPolicy(pinned: [.init(name: "primary", fingerprint: client.fingerprint)]))
  }

  func sessions() throws -> (TLSSession, TLSSession) {
    let (near, far) = try LoopbackListener().pair()
    let context = serverContext
    let accepting = Background("accept") {
      try TLSSession.handshake(socket: far, context: context, deadline: Deadline(seconds: 10))
    }
    let dialled = try TLSSession.handshake(
      socket: near, context: clientContext, deadline: Deadline(seconds: 10))
    return (dialled, try accepting.value())
  }
}

extension TLSSession {
  /// Reads exactly `count` bytes.
  func readAll(_ count: Int, seconds: Double = 10) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      var failure: TLSError?
      let got = bytes.withUnsafeMutableBytes { buffer -> Int in
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
        do throws(TLSError) { return try read(into: rest, deadline: Deadline(seconds: seconds)) } catch {
          failure = error
          return 0
        }
      }
      if let failure { throw failure }
      guard got > 0 else { throw TLSError(.truncated, "farewell after \(done) bytes") }
      done += got
    }
    return bytes
  }

  func writeAll(_ bytes: [UInt8], seconds: Double = 10) throws {
    var failure: TLSError?
    bytes.withUnsafeBytes { buffer in
      do throws(TLSError) { try write(buffer, deadline: Deadline(seconds: seconds)) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}
