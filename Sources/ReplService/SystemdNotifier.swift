import Glibc
import ReplModel

/// Tells systemd how the service is doing: sd_notify(3) over the socket that NOTIFY_SOCKET names.
///
/// Outside systemd (no NOTIFY_SOCKET) every call succeeds and does nothing.
public struct SystemdNotifier: Sendable {
  private let socketPath: String?

  /// How often systemd must hear a sign of life, seconds; nil when it does not watch this process.
  public let watchdogTimeoutSeconds: Double?

  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the process's environment.
  public init() {
    self.init { name in getenv(name).map { String(cString: $0) } }
  }

  /// `environment` answers the value of a variable; `processID` is compared with WATCHDOG_PID.
  public init(processID: Int32 = getpid(), environment: (String) -> String?) {
    let path = environment("NOTIFY_SOCKET") ?? ""
    // A path, or a name in the abstract namespace, written with `@`. Other kinds (vsock) are not for us.
    socketPath = path.hasPrefix("/") || path.hasPrefix("@") ? path : nil
    let isForUs = environment("WATCHDOG_PID").map { $0 == "\(processID)" } ?? true
    let microseconds = environment("WATCHDOG_USEC").flatMap { UInt64($0) } ?? 0
    watchdogTimeoutSeconds = isForUs && microseconds > 0 ? Double(microseconds) / 1e6 : nil
  }

  public var isActive: Bool { socketPath != nil }

  /// The service is up; `status` is one line for `systemctl status`.
  public func ready(status: String) throws(SystemdNotifyError) { try send("READY=1\n" + statusLine(status)) }

  /// One line for `systemctl status`.
  public func status(_ text: String) throws(SystemdNotifyError) { try send(statusLine(text)) }

  /// The service is ending.
  public func stopping() throws(SystemdNotifyError) { try send("STOPPING=1\n") }

  /// The configuration is being read again; `ready` follows. MONOTONIC_USEC is what Type=notify-reload asks
  /// for.
  public func reloading() throws(SystemdNotifyError) {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    try send("RELOADING=1\nMONOTONIC_USEC=\(Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000)\n")
  }

  /// A sign of life.
  public func watchdog() throws(SystemdNotifyError) { try send("WATCHDOG=1\n") }

  private func statusLine(_ text: String) -> String {
    // A line feed in the text would become a message of its own.
    "STATUS=\(SafeText.printable(text, limit: ServiceLimits.notifyStatusCharacters))\n"
  }

  private func send(_ message: String) throws(SystemdNotifyError) {
    guard let socketPath else { return }
    guard var address = UnixSocketAddress(socketPath) else {
      throw SystemdNotifyError(socketPath: socketPath, code: ENAMETOOLONG)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw SystemdNotifyError(socketPath: socketPath, code: errno) }
    defer { close(descriptor) }
    let bytes = Array(message.utf8)
    let count = address.withPointer { pointer, length in
      // Never waits: a service must not hang because systemd does.
      sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT), pointer, length)
    }
    guard count == bytes.count else { throw SystemdNotifyError(socketPath: socketPath, code: errno) }
  }
}

/// systemd could not be told.
public struct SystemdNotifyError: ActionableError, Hashable {
  public let socketPath: String
  /// An errno.
  public let code: Int32

  init(socketPath: String, code: Int32) {
    self.socketPath = SafeText.printable(socketPath)
    self.code = code
  }

  /// Replication goes on; systemd may restart the service when it waits for the message.
  public var remedy: Remedy { .retryPass }

  public var description: String {
    "NOTIFY_SOCKET \(socketPath): systemd cannot be told: \(String(cString: strerror(code)))"
  }
}

/// A Unix socket's address from a path, or from `@name` for the abstract namespace.
struct UnixSocketAddress {
  private var address = sockaddr_un()
  private let length: socklen_t

  /// Nil when the name does not fit.
  init?(_ path: String) {
    var bytes = Array(path.utf8)
    let isAbstract = bytes.first == UInt8(ascii: "@")
    if isAbstract { bytes[0] = 0 }
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    // A path needs room for its final zero; an abstract name ends with its length.
    guard bytes.count > 1, bytes.count + (isAbstract ? 0 : 1) <= capacity else { return nil }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
    length = socklen_t(offset + bytes.count + (isAbstract ? 0 : 1))
  }

  mutating func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    let length = length
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}
