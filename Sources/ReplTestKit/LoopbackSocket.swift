import Glibc
import ReplIO

/// Plain TCP on 127.0.0.1.
public enum LoopbackSocket {
  /// A socket that child processes do not inherit.
  public static func open() -> Int32 {
    socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  }

  /// Listens on a free port and answers it; nil when it cannot.
  public static func listen(_ descriptor: Int32) -> UInt16? {
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

  /// Whether somebody listens there. `from` is the last number of the own address, 127.0.0.n.
  public static func connect(_ descriptor: Int32, to port: UInt16, from source: UInt8 = 1) -> Bool {
    if source != 1 {
      guard with(loopback(0, host: source), { bind(descriptor, $0, $1) == 0 }) else { return false }
    }
    return with(loopback(port)) { Glibc.connect(descriptor, $0, $1) == 0 }
  }

  private static func with(
    _ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Bool
  ) -> Bool {
    withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// Sends all of it, or answers false.
  public static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
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

  /// Small pieces go out at once.
  public static func setNoDelay(_ descriptor: Int32) {
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// How much the kernel takes before somebody reads it; inherited by accepted connections.
  public static func setReceiveBuffer(_ descriptor: Int32, byteCount: Int32) {
    var count = byteCount
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &count, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Closing sends a reset instead of FIN.
  public static func setReset(_ descriptor: Int32) {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  private static func loopback(_ port: UInt16, host: UInt8 = 1) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = (UInt32(0x7F00_0000) + UInt32(host)).bigEndian
    address.sin_port = port.bigEndian
    return address
  }
}
