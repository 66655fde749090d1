import Glibc
import ReplIO
import ReplModel

/// Plain TCP on 127.0.0.0/8 for hostile peers. Closes with the object.
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
