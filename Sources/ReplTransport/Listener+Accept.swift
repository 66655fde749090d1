import Glibc
import ReplIO
import ReplModel
import ReplTLS

extension Listener {
  /// Takes connections until `stop`; blocks. To be called once.
  ///
  /// - Parameters:
  ///   - serve: called for each authenticated connection on a thread of its own; the connection is closed
  ///     after it.
  ///   - onRefused: called for every other one, on the thread that accepts or on the connection's.
  public func run(_ serve: @escaping Serve, onRefused: @escaping OnRefused) {
    guard let listening = socket.withLock({ $0 }) else { return }
    let mayRun = state.withLock { state -> Bool in
      state.isRunning = !state.isStopping
      return state.isRunning
    }
    guard mayRun else { return }
    var threads: [ConnectionTable.ID: NamedThread] = [:]
    var backoffSeconds = TransportLimits.firstBackoffSeconds
    while !state.withLock({ $0.isStopping }) {
      joinEnded(&threads)
      guard waitForConnection(listening) else { continue }
      switch listening.accept() {
      case .connection(let descriptor, let address):
        backoffSeconds = TransportLimits.firstBackoffSeconds
        take(ConnectedSocket(adopting: descriptor), address, &threads, serve, onRefused)
      case .nothing: break
      case .exhausted(let code):
        onRefused(RefusedConnection(address: "", reason: .system(code)))
        // The connection stays in the kernel's queue and would wake us at once: wait until descriptors are
        // back.
        waitForWake(seconds: backoffSeconds)
        backoffSeconds = min(backoffSeconds * 2, TransportLimits.longestBackoffSeconds)
      }
    }
    drain(&threads)
  }

  private func take(
    _ socket: ConnectedSocket, _ address: SocketAddress, _ threads: inout [ConnectionTable.ID: NamedThread],
    _ serve: @escaping Serve, _ onRefused: @escaping OnRefused
  ) {
    // The kernel's queue holds the others meanwhile.
    _ = state.wait(seconds: TransportLimits.leavingSeconds) { state in
      state.table.canDisplace || state.isStopping ? true : nil
    }
    var displaced: ConnectedSocket?
    let admission = state.withLock { state -> Result<ConnectionTable.Admission, ConnectionTable.Refusal>? in
      guard !state.isStopping else { return nil }
      let admission = state.table.admit(address.clientKey)
      if case .success(let place) = admission {
        state.sockets[place.id] = socket
        displaced = place.displaced.flatMap { state.sockets[$0] }
      }
      return admission
    }
    displaced?.interrupt()
    switch admission {
    case nil: return
    case .failure(.total):
      onRefused(RefusedConnection(address: address.description, reason: .overTotal(limit: caps.total)))
    case .failure(.perAddress):
      onRefused(
        RefusedConnection(address: address.description, reason: .overPerAddress(limit: caps.perAddress)))
    case .success(let place):
      let id = place.id
      do throws(IOError) {
        threads[id] = try NamedThread.tryStart("connection") {
          self.serveOne(id, socket, address.description, serve, onRefused)
          self.end(id)
        }
      } catch {
        end(id)
        onRefused(RefusedConnection(address: address.description, reason: .noThread(error)))
      }
    }
  }

  /// The whole life of one connection.
  private func serveOne(
    _ id: ConnectionTable.ID, _ socket: ConnectedSocket, _ address: String, _ serve: Serve,
    _ onRefused: OnRefused
  ) {
    do throws(TransportError) {
      let connection = try FrameConnection(
        socket: socket, peerAddress: address, context: context, options: options,
        deadline: Deadline(seconds: caps.handshakeSeconds))
      guard state.withLock({ $0.table.authenticated(id) }) else {
        connection.interrupt()
        return onRefused(RefusedConnection(address: address, reason: .displaced))
      }
      serve(connection)
      connection.close()
    } catch {
      if state.withLock({ $0.table.isLeaving(id) }) {
        return onRefused(RefusedConnection(address: address, reason: .displaced))
      }
      // A handshake that our own stop cut short is nobody's fault.
      if error.code == .interrupted, state.withLock({ $0.isStopping }) { return }
      onRefused(RefusedConnection(address: address, reason: .failed(error)))
    }
  }

  private func end(_ id: ConnectionTable.ID) {
    state.withLock { state in
      state.table.release(id)
      state.sockets[id] = nil
      state.ended.append(id)
    }
    wakePipe.wake()
  }

  private func joinEnded(_ threads: inout [ConnectionTable.ID: NamedThread]) {
    let ended = state.withLock { state in
      defer { state.ended = [] }
      return state.ended
    }
    for id in ended { threads.removeValue(forKey: id)?.join() }
  }

  /// After the last connection was taken. `stop` bounds the wait; threads that outlive it are left alone.
  private func drain(_ threads: inout [ConnectionTable.ID: NamedThread]) {
    while state.wait(seconds: 60, { $0.table.count == 0 || $0.isAbandoned ? true : nil }) == nil {}
    joinEnded(&threads)
    socket.withLock { $0 = nil }
    state.withLock { $0.isRunning = false }
  }

  /// False when it was something else that woke us.
  private func waitForConnection(_ listening: ListeningSocket) -> Bool {
    var entries = [
      pollfd(fd: listening.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: wakePipe.readEnd, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&entries, 2, -1) > 0 else { return false }
    if entries[1].revents != 0 { wakePipe.drain() }
    return entries[0].revents != 0
  }

  private func waitForWake(seconds: Double) {
    var entry = pollfd(fd: wakePipe.readEnd, events: Int16(POLLIN), revents: 0)
    // The byte stays in the pipe for the loop's own poll.
    _ = poll(&entry, 1, Int32(seconds * 1000))
  }
}
