import Glibc
import ReplModel

/// A socket that takes connections: owns the descriptor.
final class ListeningSocket: Sendable {
  let descriptor: Int32
  let port: UInt16

  /// Listens on the first address of the host that allows it; `::` takes IPv4 as well.
  init(_ address: HostPort) throws(TransportError) {
    var reason = "no address"
    for candidate in try SocketAddress.resolve(address, toListen: true) {
      let descriptor = SocketOptions.openStream(family: candidate.family)
      guard descriptor >= 0 else {
        reason = String(cString: strerror(errno))
        continue
      }
      // A restart must not wait for connections of the last run to be forgotten.
      SocketOptions.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
      if candidate.family == AF_INET6 {
        SocketOptions.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address.host == "::" ? 0 : 1)
      }
      let isBound = candidate.withPointer { bind(descriptor, $0, $1) == 0 }
      if isBound, listen(descriptor, TransportLimits.backlog) == 0,
        let local = SocketAddress.of(descriptor, { getsockname($0, $1, $2) })
      {
        self.descriptor = descriptor
        port = local.port
        return
      }
      reason = "\(candidate): \(String(cString: strerror(errno)))"
      close(descriptor)
    }
    throw TransportError(
      .cannotListen, peer: address.description,
      "cannot listen: \(reason): check the address, and whether another program has the port (ss -ltnp)")
  }

  deinit { close(descriptor) }

  enum Accepted {
    case connection(descriptor: Int32, address: SocketAddress)
    /// Nobody there any more.
    case nothing
    /// Out of descriptors or memory.
    case exhausted(Int32)
  }

  func accept() -> Accepted {
    var accepted: Int32 = -1
    var code: Int32 = 0
    // The address comes with the connection: asked for later, a connection that was reset meanwhile has none.
    let address = SocketAddress.of(descriptor) { listening, address, length in
      accepted = Glibc.accept(listening, address, length)
      code = accepted < 0 ? errno : 0
      return accepted < 0 ? -1 : 0
    }
    guard let address else {
      switch code {
      case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(code)
      // EINTR, EAGAIN, and the network errors of a connection that is gone (accept(2)).
      default: return .nothing
      }
    }
    _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
    SocketOptions.apply(to: accepted)
    return .connection(descriptor: accepted, address: address)
  }
}
