import Glibc
import ReplIO

/// One connection through a `FaultyProxy`: two sockets, two pumping threads, at most one fault.
final class ProxiedConnection: Sendable {
  private struct State {
    var endedPumps = 0
    var isStalled = false
    var isEnding = false
  }

  private let client: Int32
  private let server: Int32
  private let fault: FaultyProxy.Fault?
  private let state = Monitor(State())

  init(client: Int32, server: Int32, fault: FaultyProxy.Fault?) {
    (self.client, self.server, self.fault) = (client, server, fault)
    for socket in [client, server] { LoopbackSocket.setNoDelay(socket) }
  }

  /// Both sockets are closed.
  var isOver: Bool { state.withLock { $0.endedPumps == 2 } }

  /// Ends both sockets, as a cut or with a reset. From any thread.
  func end(_ kind: FaultyProxy.Fault.Kind) {
    // Under the lock: the sockets are closed by the last pump, under it as well.
    state.withLock { state in
      state.isEnding = true
      guard state.endedPumps < 2 else { return }
      for socket in [client, server] {
        // A reset is sent by closing; the pumps wake all the same.
        if kind == .reset { LoopbackSocket.setReset(socket) }
        shutdown(socket, Int32(kind == .reset ? SHUT_RD : SHUT_RDWR))
      }
    }
  }

  /// Passes bytes until the stream ends or the fault ends it; `count` hears of every piece.
  func pump(_ direction: FaultyProxy.Direction, _ count: (Int) -> Void) {
    let (from, to) = direction == .toServer ? (client, server) : (server, client)
    var passed = 0
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    let limit = fault?.direction == direction ? fault?.afterBytes : nil
    while true {
      if let limit, passed == limit, let fault {
        guard strike(fault.kind, from: from, to: to, passed: &passed, count) else { break }
      }
      if isStalled { break }
      // The byte that is to be changed is read by itself.
      let most = limit.map { $0 > passed ? min($0 - passed, buffer.count) : buffer.count } ?? buffer.count
      let received = recv(from, &buffer, most, 0)
      if received <= 0 || isStalled { break }
      guard LoopbackSocket.send(to, buffer[..<received]) else {
        end(.cut)
        break
      }
      passed += received
      count(received)
    }
    // The other end learns that this direction is over.
    if !isStalled && !isEnding { shutdown(to, Int32(SHUT_WR)) }
    finish()
  }

  private var isEnding: Bool { state.withLock { $0.isEnding } }
  private var isStalled: Bool { state.withLock { $0.isStalled && !$0.isEnding } }

  /// False when nothing passes in this direction any more.
  private func strike(
    _ kind: FaultyProxy.Fault.Kind, from: Int32, to: Int32, passed: inout Int, _ count: (Int) -> Void
  ) -> Bool {
    switch kind {
    case .cut, .reset:
      end(kind)
      return false
    case .halfClose: return false
    case .stall, .stallBoth:
      if kind == .stallBoth { state.withLock { $0.isStalled = true } }
      // Until the test ends it: the kernel goes on taking what the sender sends.
      while state.wait(seconds: 60, { $0.isEnding ? true : nil }) == nil {}
      return false
    case .corrupt(let bits):
      var byte: UInt8 = 0
      guard recv(from, &byte, 1, 0) == 1, LoopbackSocket.send(to, [byte ^ bits][...]) else { return false }
      passed += 1
      count(1)
      return true
    }
  }

  /// The last pump closes both sockets; one of a stalled connection waits for the end first.
  private func finish() {
    if isStalled { while state.wait(seconds: 60, { $0.isEnding ? true : nil }) == nil {} }
    state.withLock { state in
      state.endedPumps += 1
      guard state.endedPumps == 2 else { return }
      close(client)
      close(server)
    }
  }
}

/// Plain TCP on 127.0.0.1.
enum LoopbackSocket {
  static func open() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0) }

  /// The port; nil when it cannot.
  static func listen(_ descriptor: Int32) -> UInt16? {
    var address = loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
      }
    }
    guard isBound, Glibc.listen(descriptor, 64) == 0 else { return nil }
    return UInt16(bigEndian: address.sin_port)
  }

  static func connect(_ descriptor: Int32, to port: UInt16) -> Bool {
    var address = loopback(port)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  /// All of it, or false.
  static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if written <= 0 { return false }
      rest = rest.dropFirst(written)
    }
    return true
  }

  static func setNoDelay(_ descriptor: Int32) {
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Closing sends a reset instead of FIN.
  static func setReset(_ descriptor: Int32) {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = port.bigEndian
    return address
  }
}
