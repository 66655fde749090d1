import Glibc
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import Synchronization

/// Takes connections, authenticates them, and serves each on a thread of its own.
///
/// Shutdown order of `stop`: no new connection is taken; those that are open may end by themselves for as
/// long as they are given; every one that is left is interrupted, whatever it is doing; their threads end;
/// the listening socket is closed; `run` returns.
public final class Listener: Sendable {
  /// How many connections there may be at once, those that are still shaking hands included.
  public struct Caps: Sendable, Hashable {
    /// Connections in all.
    public var total: Int
    /// Connections from one IPv4 address or one IPv6 /64.
    public var perAddress: Int
    /// Places out of `total` that only addresses which have authenticated before may take. Not all of them:
    /// an address becomes known only by a place that anybody may take.
    public var reservedForKnownAddresses: Int
    /// TLS, authentication and banner together.
    public var handshakeSeconds: Double

    /// The defaults of Connections.md: of `total` places a quarter is kept for known addresses, 8 at most.
    public init(
      total: Int = 64, perAddress: Int = 16, reservedForKnownAddresses: Int? = nil,
      handshakeSeconds: Double = ProtocolTimeouts.handshakeSeconds
    ) {
      self.total = total
      self.perAddress = perAddress
      self.reservedForKnownAddresses = reservedForKnownAddresses ?? min(8, total / 4)
      self.handshakeSeconds = handshakeSeconds
    }
  }

  /// Serves one connection; it is closed when this returns. Runs on the connection's own thread.
  public typealias Serve = @Sendable (FrameConnection) -> Void
  /// Hears of a connection that was not served. Must not block.
  public typealias OnRefused = @Sendable (RefusedConnection) -> Void

  struct State {
    var isRunning = false
    var isStopping = false
    /// Set when `stop` waits no longer for threads that have not ended.
    var isAbandoned = false
    var table: ConnectionTable
    var sockets: [ConnectionTable.ID: ConnectedSocket] = [:]
    /// Connections whose thread has nothing more to do than to be joined.
    var ended: [ConnectionTable.ID] = []
  }

  let context: TLSContext
  let options: TransportOptions
  let caps: Caps
  let state: Monitor<State>
  let wakePipe: WakePipe
  let socket: Mutex<ListeningSocket?>
  private let acceptThread = Mutex<NamedThread?>(nil)

  /// The port; the one that the system picked when the address had port 0.
  public let localPort: UInt16

  /// Listens from now on; connections wait in the kernel until `run` or `start`.
  ///
  /// - Throws: `.unresolved`, `.cannotListen`.
  public init(
    address: HostPort, context: TLSContext, options: TransportOptions, caps: Caps = Caps()
  ) throws(TransportError) {
    let listening = try ListeningSocket(address)
    guard let wakePipe = WakePipe() else {
      throw TransportError(
        .cannotListen, peer: address.description, "no pipe: \(String(cString: strerror(errno)))")
    }
    self.context = context
    self.options = options
    self.caps = caps
    self.wakePipe = wakePipe
    localPort = listening.port
    socket = Mutex(listening)
    state = Monitor(State(table: ConnectionTable(caps: caps)))
  }

  /// How many connections there are now, handshakes included.
  public var connectionCount: Int { state.withLock { $0.table.count } }

  /// As `run`, on a thread that `stop` joins.
  public func start(_ serve: @escaping Serve, onRefused: @escaping OnRefused) {
    acceptThread.withLock { thread in
      precondition(thread == nil, "a listener is started once")
      thread = NamedThread.start("accept") { self.run(serve, onRefused: onRefused) }
    }
  }

  /// Stops for good: leaves connections alone for `graceSeconds`, interrupts those that are left, and waits
  /// at most `withinSeconds` for all threads. Not to be called from within `serve`.
  ///
  /// - Returns: false when a connection's `serve` had not returned by then; its thread goes on.
  @discardableResult public func stop(withinSeconds: Double = 4, graceSeconds: Double = 0) -> Bool {
    state.withLock { $0.isStopping = true }
    wakePipe.wake()
    _ = state.wait(seconds: graceSeconds) { $0.table.count == 0 ? true : nil }
    let live = state.withLock { Array($0.sockets.values) }
    for socket in live { socket.interrupt() }
    let hasEnded: Bool? = state.wait(seconds: withinSeconds) { state in
      state.table.count == 0 && !state.isRunning ? true : nil
    }
    let thread = acceptThread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    state.withLock { $0.isAbandoned = true }
    // The accept loop ends now: all it still waits for is threads that have ended.
    thread?.join()
    socket.withLock { $0 = nil }
    return hasEnded != nil
  }
}
