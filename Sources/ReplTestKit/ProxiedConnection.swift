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

  /// Returns early when the connection ends.
  func pause(seconds: Double) { _ = state.wait(seconds: seconds) { $0.isEnding ? true : nil } }

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
