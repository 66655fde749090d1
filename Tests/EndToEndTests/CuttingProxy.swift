import Foundation
import Glibc
import ReplIO

/// A TCP proxy between sender and receiver that cuts the connection after a number of bytes in one direction.
final class CuttingProxy: Sendable {
  /// What happens to the next connections, first one first; when the plan is used up everything passes.
  struct Cut: Sendable {
    enum Direction: Sendable { case toReceiver, toSender }
    let direction: Direction
    let afterBytes: Int
  }

  private struct State {
    var plan: [Cut] = []
    var connections = 0
    var bytesToReceiver = 0
    var bytesToSender = 0
    var isStopped = false
  }

  let port: Int
  private let target: Int
  private let listening: Int32
  private let state = Monitor(State())

  init(to target: Int) throws {
    self.target = target
    listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listening = self.listening
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listening, address, length) == 0 && getsockname(listening, address, &length) == 0
      }
    }
    guard bound, listen(listening, 16) == 0 else { throw ToolFailure(text: "proxy cannot listen") }
    port = Int(UInt16(bigEndian: address.sin_port))
    _ = NamedThread.start("proxy-accept") { [self] in acceptAll() }
  }

  func plan(_ cuts: [Cut]) { state.withLock { $0.plan = cuts } }
  var connections: Int { state.withLock { $0.connections } }
  var bytesToReceiver: Int { state.withLock { $0.bytesToReceiver } }
  var bytesToSender: Int { state.withLock { $0.bytesToSender } }
  func resetCounts() {
    state.withLock {
      $0.connections = 0
      $0.bytesToReceiver = 0
      $0.bytesToSender = 0
    }
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    shutdown(listening, Int32(SHUT_RDWR))
    close(listening)
  }

  private func acceptAll() {
    while true {
      let client = accept(listening, nil, nil)
      if client < 0 { return }
      let cut = state.withLock { state -> Cut? in
        state.connections += 1
        return state.plan.isEmpty ? nil : state.plan.removeFirst()
      }
      let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = Self.loopback(target)
      let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      guard connected == 0 else {
        close(client)
        close(server)
        continue
      }
      var on: Int32 = 1
      setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
      setsockopt(server, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
      let pair = Pair(client: client, server: server)
      _ = NamedThread.start("proxy-up") { [self] in
        pump(client, server, pair, limit: cut?.direction == .toReceiver ? cut?.afterBytes : nil, up: true)
      }
      _ = NamedThread.start("proxy-down") { [self] in
        pump(server, client, pair, limit: cut?.direction == .toSender ? cut?.afterBytes : nil, up: false)
      }
    }
  }

  /// Closes both sockets when both directions have ended.
  private final class Pair: Sendable {
    private let ended = Monitor(0)
    let client: Int32
    let server: Int32
    init(client: Int32, server: Int32) {
      self.client = client
      self.server = server
    }

    func end(_ hard: Bool) {
      if hard {
        shutdown(client, Int32(SHUT_RDWR))
        shutdown(server, Int32(SHUT_RDWR))
      }
      let isLast = ended.withLock { count in
        count += 1
        return count == 2
      }
      if isLast {
        close(client)
        close(server)
      }
    }
  }

  private func pump(_ from: Int32, _ to: Int32, _ pair: Pair, limit: Int?, up: Bool) {
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    var passed = 0
    while true {
      let count = read(from, &buffer, buffer.count)
      if count <= 0 { break }
      let allowed = min(count, limit.map { $0 - passed } ?? count)
      var sent = 0
      while sent < allowed {
        let written = buffer.withUnsafeBytes {
          send(to, $0.baseAddress! + sent, allowed - sent, Int32(MSG_NOSIGNAL))
        }
        if written <= 0 { return pair.end(true) }
        sent += written
      }
      passed += allowed
      state.withLock { state in
        if up { state.bytesToReceiver += allowed } else { state.bytesToSender += allowed }
      }
      if let limit, passed >= limit { return pair.end(true) }
    }
    shutdown(to, Int32(SHUT_WR))
    pair.end(false)
  }

  private static func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = UInt16(port).bigEndian
    return address
  }
}
