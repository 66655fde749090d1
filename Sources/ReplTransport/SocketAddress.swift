import Glibc
import ReplModel

/// An IPv4 or IPv6 address with its port, as the system's `sockaddr` bytes.
struct SocketAddress: Hashable, Sendable {
  private let bytes: [UInt8]

  init(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
    bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(length)))
  }

  var family: Int32 {
    bytes.withUnsafeBytes { $0.count < 2 ? 0 : Int32($0.loadUnaligned(as: sa_family_t.self)) }
  }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    bytes.withUnsafeBytes {
      body($0.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t($0.count))
    }
  }

  /// Every address of a name. Blocks for as long as the system's resolver takes; no deadline reaches into it.
  static func resolve(_ target: HostPort, toListen: Bool) throws(TransportError) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV | (toListen ? AI_PASSIVE : 0)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(target.host, String(target.port), &hints, &list)
    guard code == 0 else {
      let reason = code == EAI_SYSTEM ? String(cString: strerror(errno)) : String(cString: gai_strerror(code))
      throw TransportError(
        .unresolved, peer: target.description,
        "the name \(SafeText.printable(target.host)) has no address: \(reason): check the name and the DNS")
    }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee, addresses.count < TransportLimits.addressesPerName {
      if let address = entry.ai_addr { addresses.append(SocketAddress(address, length: entry.ai_addrlen)) }
      next = entry.ai_next
    }
    return addresses
  }

  /// The address that a system call puts out; nil when the call fails.
  static func of(
    _ descriptor: Int32,
    _ query: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
  ) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        query(descriptor, pointer, &length) == 0 ? SocketAddress(pointer, length: length) : nil
      }
    }
  }

  var port: UInt16 { UInt16(numeric.port) ?? 0 }

  private var numeric: (host: String, port: String) {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var port = [CChar](repeating: 0, count: 32)
    let code = withPointer { pointer, length in
      getnameinfo(
        pointer, length, &host, socklen_t(host.count), &port, socklen_t(port.count),
        NI_NUMERICHOST | NI_NUMERICSERV)
    }
    guard code == 0 else { return ("?", "0") }
    return (Self.text(host), Self.text(port))
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// What counts as one client: an IPv4 address, or the /64 that one IPv6 host can fill at will.
  var clientKey: [UInt8] {
    // sockaddr_in: family, port, address at 4; sockaddr_in6: family, port, flow, address at 8.
    guard family == AF_INET6, bytes.count >= 24 else { return Array(bytes.dropFirst(4).prefix(4)) }
    let address = bytes[8..<24]
    let isMappedIPv4 =
      address.prefix(10).allSatisfy { $0 == 0 } && address.dropFirst(10).prefix(2) == [255, 255]
    return isMappedIPv4 ? Array(address.suffix(4)) : Array(address.prefix(8))
  }
}

extension SocketAddress: CustomStringConvertible {
  var description: String {
    let (host, port) = numeric
    return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}
