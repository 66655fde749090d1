import Glibc
import ReplIO
import ReplModel
import ReplTLS
import Synchronization

/// A dial in progress, so that another thread can call it off.
public final class ConnectionAttempt: Sendable {
  private struct State {
    var isCancelled = false
    var socket: ConnectedSocket?
  }

  private let state = Mutex<State>(State())

  /// For one dial.
  public init() {}

  /// From any thread: `connect` throws `.interrupted` at once, unless it is inside the system's resolver.
  public func cancel() {
    let socket = state.withLock { state in
      state.isCancelled = true
      return state.socket
    }
    socket?.interrupt()
  }

  /// Connects to the first address that answers; each one gets an equal share of the time that is left.
  func connect(to target: HostPort, deadline: Deadline) throws(TransportError) -> ConnectedSocket {
    let addresses = try SocketAddress.resolve(target, toListen: false)
    var reasons: [String] = []
    for (index, address) in addresses.enumerated() {
      let share = Double(deadline.remainingMilliseconds) / 1000 / Double(addresses.count - index)
      switch try dial(address, target: target, deadline: Deadline(seconds: share)) {
      case .connected(let socket): return socket
      case .failed(let reason): reasons.append("\(address): \(reason)")
      }
    }
    throw TransportError(
      .unreachable, peer: target.description,
      "no connection: \(reasons.joined(separator: "; ")): "
        + "check that the receiver runs and that no firewall is between"
    )
  }

  private enum Dialled {
    case connected(ConnectedSocket)
    case failed(String)
  }

  private func dial(
    _ address: SocketAddress, target: HostPort, deadline: Deadline
  ) throws(TransportError) -> Dialled {
    let descriptor = SocketOptions.openStream(family: address.family)
    guard descriptor >= 0 else { return .failed(String(cString: strerror(errno))) }
    let socket = ConnectedSocket(adopting: descriptor)
    try register(socket, target)
    SocketOptions.apply(to: descriptor)
    let result = address.withPointer { pointer, length in Glibc.connect(descriptor, pointer, length) }
    if result == 0 { return .connected(socket) }
    // An interrupted connect goes on in the background like one that was never to block.
    guard errno == EINPROGRESS || errno == EINTR else { return .failed(String(cString: strerror(errno))) }
    let readiness = socket.wait(for: Int32(POLLOUT), deadline: deadline)
    guard !socket.isInterrupted else { throw Self.interruption(target) }
    guard readiness == .ready else { return .failed("no answer in time") }
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    if getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) != 0 { code = errno }
    return code == 0 ? .connected(socket) : .failed(String(cString: strerror(code)))
  }

  private func register(_ socket: ConnectedSocket, _ target: HostPort) throws(TransportError) {
    let isCancelled = state.withLock { state in
      state.socket = socket
      return state.isCancelled
    }
    if isCancelled { throw Self.interruption(target) }
  }

  private static func interruption(_ target: HostPort) -> TransportError {
    TransportError(.interrupted, peer: target.description, "the connection was called off on this side")
  }
}
