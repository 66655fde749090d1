import Glibc
import ReplIO
import Synchronization

/// A TCP proxy on loopback that does to each connection what its plan says, and otherwise passes every byte.
///
/// The n-th connection gets the n-th fault of the plan; when the plan is used up everything passes.
public final class FaultyProxy: Sendable {
  /// The way of the bytes that a fault is about.
  public enum Direction: String, Sendable, CaseIterable { case toServer, toClient }

  /// What happens once `afterBytes` bytes have passed in `direction`.
  public struct Fault: Sendable, CustomStringConvertible {
    /// What happens.
    public enum Kind: Sendable, Hashable {
      /// Both ends see the stream end (FIN), in both directions.
      case cut
      /// Both ends see a reset (RST).
      case reset
      /// Only this direction ends (FIN); the other goes on.
      case halfClose
      /// Nothing passes in this direction any more, and nobody is told: a partition one way.
      case stall
      /// Nothing passes in either direction any more, and nobody is told: a partition, or a dead peer.
      case stallBoth
      /// The next byte arrives with these bits changed.
      case corrupt(bits: UInt8)
    }

    /// Whose bytes are counted.
    public let direction: Direction
    /// How many of them pass untouched.
    public let afterBytes: Int
    /// What happens then.
    public let kind: Kind

    /// A cut by default.
    public init(direction: Direction, afterBytes: Int, kind: Kind = .cut) {
      self.direction = direction
      self.afterBytes = afterBytes
      self.kind = kind
    }

    /// Any of `kinds`, in either direction, within what a whole conversation has of bytes each way. The same
    /// random numbers give the same fault.
    public static func random(
      of kinds: [Kind], toServer: Int, toClient: Int, using random: inout SeededRandom
    ) -> Fault {
      let direction: Direction = Bool.random(using: &random) ? .toServer : .toClient
      let most = direction == .toServer ? toServer : toClient
      return Fault(
        direction: direction, afterBytes: Int.random(in: 0...max(0, most - 1), using: &random),
        kind: kinds.randomElement(using: &random) ?? .cut)
    }

    /// For the message of a test that failed.
    public var description: String { "\(kind) after \(afterBytes) bytes \(direction.rawValue)" }
  }

  struct State {
    var plan: [Fault] = []
    var connections = 0
    var bytes: [Direction: Int] = [:]
    var isStopped = false
    /// Bytes a second to the server, all connections of one after the other; nil without a limit.
    var rate: Double?
    var routes: [ProxiedConnection] = []
  }

  /// Where clients connect to, on 127.0.0.1.
  public let port: UInt16
  let server: UInt16
  let state = Monitor(State())
  private let listening: Int32

  /// Forwards to a port on 127.0.0.1, where nobody need listen yet. `isNarrow`: little is on its way at a
  /// time, as on a slow link, so that whoever sends notices a limit at once.
  public init(to server: UInt16, isNarrow: Bool = false) throws(IOError) {
    self.server = server
    listening = LoopbackSocket.open()
    if isNarrow { LoopbackSocket.setReceiveBuffer(listening, byteCount: 32 << 10) }
    guard let port = LoopbackSocket.listen(listening) else {
      close(listening)
      throw IOError.current("listen", path: "127.0.0.1")
    }
    self.port = port
    _ = NamedThread.start("proxy-accept") { [self] in acceptAll() }
  }

  /// Replaces the plan; an empty one lets everything pass.
  public func plan(_ faults: [Fault]) { state.withLock { $0.plan = faults } }

  /// From now on so many bytes a second pass to the server; nil lets everything pass.
  public func limit(bytesPerSecond: Double?) { state.withLock { $0.rate = bytesPerSecond } }

  /// How many connections there were.
  public var connections: Int { state.withLock { $0.connections } }
  /// Bytes that passed on the way to the server, on all connections.
  public var bytesToServer: Int { state.withLock { $0.bytes[.toServer] ?? 0 } }
  /// Bytes that passed on the way to the client, on all connections.
  public var bytesToClient: Int { state.withLock { $0.bytes[.toClient] ?? 0 } }

  /// Counts from 0 again.
  public func resetCounts() { state.withLock { ($0.connections, $0.bytes) = (0, [:]) } }

  /// Ends the connections that are open now, stalled ones included.
  public func cutAll() {
    let open = state.withLock { state in
      defer { state.routes = [] }
      return state.routes
    }
    for route in open { route.end(.cut) }
  }

  /// Takes no new connection and ends those that are open.
  public func stop() {
    let wasStopped = state.withLock { state in
      defer { state.isStopped = true }
      return state.isStopped
    }
    guard !wasStopped else { return }
    // Wakes the thread that accepts, which closes the socket.
    shutdown(listening, Int32(SHUT_RDWR))
    cutAll()
  }

  private func acceptAll() {
    defer { close(listening) }
    while true {
      let client = accept(listening, nil, nil)
      guard client >= 0, !state.withLock({ $0.isStopped }) else {
        if client >= 0 { close(client) }
        return
      }
      let fault = state.withLock { state -> Fault? in
        state.connections += 1
        return state.plan.isEmpty ? nil : state.plan.removeFirst()
      }
      let upstream = LoopbackSocket.open()
      guard LoopbackSocket.connect(upstream, to: server) else {
        close(client)
        close(upstream)
        continue
      }
      let route = ProxiedConnection(client: client, server: upstream, fault: fault)
      state.withLock { state in
        state.routes.removeAll(where: \.isOver)
        state.routes.append(route)
      }
      for direction in Direction.allCases {
        _ = NamedThread.start("proxy-\(direction.rawValue)") { [self] in
          route.pump(direction) { count in
            let rate = state.withLock { state in
              state.bytes[direction, default: 0] += count
              return state.rate
            }
            if direction == .toServer, let rate { route.pause(seconds: Double(count) / rate) }
          }
        }
      }
    }
  }
}
