import Glibc

/// What every connection of ours is set to.
enum SocketOptions {
  static func apply(to descriptor: Int32) {
    set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, TransportLimits.keepAlive.idleSeconds)
    set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, TransportLimits.keepAlive.intervalSeconds)
    set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, TransportLimits.keepAlive.probes)
    set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, TransportLimits.userTimeoutMilliseconds)
  }

  /// A socket without these settings works too, only worse: a refusal is no reason to stop.
  static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    _ = setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// A TCP socket that does not block and that child processes do not inherit.
  static func openStream(family: Int32) -> Int32 {
    let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    return socket(family, flags, 0)
  }
}
