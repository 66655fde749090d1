import Glibc
import ReplIO
import Testing

/// Plain sockets, so that a test sends exactly the bytes it means.
enum RawHTTP {
  struct Failure: Error { let code: Int32 }

  static func get(_ path: String, _ port: Int) async throws -> String {
    try await exchange("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", port)
  }

  /// Sends the bytes and reads until the server ends the connection (at most 15 s).
  static func exchange(_ request: String, _ port: Int) async throws -> String {
    try await NamedThread.run("test-http") {
      let descriptor = try connect(port)
      defer { close(descriptor) }
      let bytes = Array(request.utf8)
      // The server may have closed already: what it answered is what counts.
      _ = bytes.isEmpty ? 0 : send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      return readToEnd(descriptor)
    }
  }

  private static func readToEnd(_ descriptor: Int32) -> String {
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else { return String(decoding: answer, as: UTF8.self) }
      answer += buffer.prefix(count)
    }
  }

  static func connect(_ port: Int) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 15, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let result = withAddress(port) { Glibc.connect(descriptor, $0, $1) }
    guard result == 0 else { throw Failure(code: errno) }
    return descriptor
  }

  static func listen() throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard withAddress(0, { bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 4) == 0 else {
      throw Failure(code: errno)
    }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { pointer in
      _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  /// Takes one connection, reads the request, answers, and keeps it open until the client ends it.
  static func serveOnce(_ listener: Int32, _ answer: String) {
    let descriptor = accept(listener, nil, nil)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var request = [UInt8](repeating: 0, count: 4096)
    _ = recv(descriptor, &request, request.count, 0)
    let bytes = Array(answer.utf8)
    send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    _ = readToEnd(descriptor)
  }

  /// How many of the sockets the other side has ended, waiting until there are `atLeast`, or the time is
  /// over.
  static func countEnded(_ sockets: [Int32], atLeast: Int, seconds: Double) -> Int {
    let deadline = Deadline(seconds: seconds)
    var polled = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    while true {
      poll(&polled, nfds_t(polled.count), min(50, deadline.remainingMilliseconds))
      let ended = polled.filter { $0.revents != 0 }.count
      if ended >= atLeast || deadline.hasPassed { return ended }
    }
  }

  private static func withAddress(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32
  {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
