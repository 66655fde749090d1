import Glibc

/// A host and a TCP port as the configuration names them: `dr.example.com:7443`, `192.0.2.7:7443`,
/// `[::1]:7443`.
public struct NetworkAddress: Hashable, Sendable {
  /// A name, an IPv4 address, or an IPv6 address without brackets.
  public let host: String
  /// 0...65535; 0 asks for any free port when listening.
  public let port: Int

  /// For values of our own.
  public init(host: String, port: Int) {
    precondition((0...65535).contains(port), "no TCP port")
    self.host = host
    self.port = port
  }

  /// Nil when the text is not `host:port` with a port of 0...65535 and a well-formed host.
  public init?(_ text: String) {
    guard text.utf8.count <= 320, let colon = text.lastIndex(of: ":") else { return nil }
    guard let port = Self.port(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard Self.isIPv6(String(host)) else { return nil }
    } else {
      guard Self.isHostName(host) else { return nil }
    }
    self.init(host: String(host), port: port)
  }

  /// True for 127.0.0.0/8, ::1 and `localhost`: nobody else's machine can reach it.
  public var isLoopback: Bool {
    if host == "localhost" || host == "::1" { return true }
    return host.hasPrefix("127.") && Self.isIPv4(host)
  }

  private static func port(_ digits: Substring) -> Int? {
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
      return nil
    }
    guard let port = Int(digits), port <= 65535 else { return nil }
    return port
  }

  private static func isHostName(_ host: Substring) -> Bool {
    guard (1...253).contains(host.utf8.count), !host.hasPrefix("-"), !host.hasPrefix(".") else {
      return false
    }
    return host.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
  }

  private static func isIPv4(_ host: String) -> Bool {
    var address = in_addr()
    return inet_pton(AF_INET, host, &address) == 1
  }

  private static func isIPv6(_ host: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET6, host, &address) == 1
  }
}

extension NetworkAddress: CustomStringConvertible {
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
