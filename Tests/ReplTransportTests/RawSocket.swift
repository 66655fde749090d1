import Glibc
import ReplIO
import ReplModel

/// Plain TCP on 127.0.0.0/8 for hostile peers and the proxy. Closes with the object.
final class RawSocket: Sendable {
  let descriptor: Int32

  init(adopting descriptor: Int32) {
    self.descriptor = descriptor
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Connects from 127.0.0.`source`.
  convenience init(port: UInt16, source: UInt8 = 1) throws {
    self.init(adopting: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    let bound = Self.with(host: source, port: 0) { bind(descriptor, $0, $1) }
    let connected = Self.with(host: 1, port: port) { connect(descriptor, $0, $1) }
    guard bound == 0, connected == 0 else { throw IOError.current("connect", path: "127.0.0.1:\(port)") }
  }

  /// Listens on 127.0.0.1.
  static func listening(backlog: Int32 = 64) throws -> (RawSocket, port: UInt16) {
    let made = RawSocket(adopting: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    guard with(host: 1, port: 0, { bind(made.descriptor, $0, $1) }) == 0,
      listen(made.descriptor, backlog) == 0
    else { throw IOError.current("listen", path: "127.0.0.1") }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(made.descriptor, $0, &length) }
    }
    return (made, UInt16(bigEndian: address.sin_port))
  }

  deinit { close(descriptor) }

  /// Nil when nobody came.
  func accept(seconds: Double = 10) -> RawSocket? {
    guard waitReadable(seconds: seconds) else { return nil }
    let accepted = Glibc.accept(descriptor, nil, nil)
    return accepted < 0 ? nil : RawSocket(adopting: accepted)
  }

  func waitReadable(seconds: Double) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, Int32(seconds * 1000)) == 1
  }

  func send(_ bytes: some Collection<UInt8>) {
    let bytes = Array(bytes)
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// What is there, empty at the end of the stream, after an error or when nothing comes in time.
  func receive(seconds: Double = 10) -> [UInt8] {
    guard waitReadable(seconds: seconds) else { return [] }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    return Array(bytes.prefix(max(0, count)))
  }

  /// Whether the other side ends the connection in time; data before that is skipped.
  func waitForEnd(seconds: Double) -> Bool {
    let deadline = Deadline(seconds: seconds)
    var byte = [UInt8](repeating: 0, count: 4096)
    while !deadline.hasPassed {
      guard waitReadable(seconds: Double(deadline.remainingMilliseconds) / 1000) else { return false }
      if recv(descriptor, &byte, byte.count, 0) <= 0 { return true }
    }
    return false
  }

  /// Closing sends a reset instead of FIN.
  func closeWithReset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  private static func with<Result>(
    host: UInt8, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = (UInt32(0x7F00_0000) + UInt32(host)).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}

/// A TCP proxy for one connection that cuts it after a number of bytes in one direction.
final class CuttingProxy: Sendable {
  enum Direction: CaseIterable, Sendable { case toServer, toClient }

  let port: UInt16
  private let counts = Monitor<(toServer: Int, toClient: Int)>((0, 0))
  private let done: Background<Void>

  /// `limit` bytes pass in `direction`, then both connections are closed (or reset).
  init(to server: UInt16, cut direction: Direction, after limit: Int, reset: Bool = false) throws {
    let (listening, port) = try RawSocket.listening()
    self.port = port
    let counts = self.counts
    done = Background("proxy") {
      guard let client = listening.accept() else { return }
      let upstream = try RawSocket(port: server)
      Self.forward(client, upstream, direction, limit, counts)
      if reset { [client, upstream].forEach { $0.closeWithReset() } }
    }
  }

  /// Bytes that passed until now.
  var passed: (toServer: Int, toClient: Int) { counts.withLock { $0 } }

  func finish() throws { try done.value() }

  private static func forward(
    _ client: RawSocket, _ server: RawSocket, _ direction: Direction, _ limit: Int,
    _ counts: Monitor<(toServer: Int, toClient: Int)>
  ) {
    while true {
      var entries = [client, server].map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
      guard poll(&entries, 2, 20_000) > 0 else { return }
      for (index, way) in [Direction.toServer, .toClient].enumerated() where entries[index].revents != 0 {
        let (from, to) = index == 0 ? (client, server) : (server, client)
        let before = counts.withLock { index == 0 ? $0.toServer : $0.toClient }
        let bytes = from.receive(seconds: 0)
        guard !bytes.isEmpty else { return }
        let allowed = way == direction ? bytes.prefix(limit - before) : bytes[...]
        to.send(allowed)
        let now = before + allowed.count
        counts.withLock { if index == 0 { $0.toServer = now } else { $0.toClient = now } }
        if way == direction, now == limit { return }
      }
    }
  }
}
