import Glibc
import ReplModel
import Testing

@testable import ReplService

/// Notifications to systemd, over a real datagram socket.
@Suite("systemd notification")
struct SystemdNotifierTests {
  /// The other end: what systemd would hear.
  private struct Listener {
    let descriptor: Int32
    let path: String

    init(_ path: String) throws {
      self.path = path
      descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
      var address = try #require(UnixSocketAddress(path))
      let bound = address.withPointer { bind(descriptor, $0, $1) }
      try #require(bound == 0)
      var limit = timeval(tv_sec: 5, tv_usec: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func receive() -> String? {
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &buffer, buffer.count, 0)
      return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    func close() {
      Glibc.close(descriptor)
      unlink(path)
    }
  }

  private func notifier(_ values: [String: String]) -> SystemdNotifier {
    SystemdNotifier(processID: 42) { values[$0] }
  }

  private static func paths() -> [String] {
    let number = UInt64.random(in: 0 ... .max)
    return ["/tmp/vmrepl-notify-\(number)", "@vmrepl-notify-\(number)"]
  }

  @Test("each message is a datagram, to a path and to an abstract name", arguments: paths())
  func messages(_ path: String) throws {
    let listener = try Listener(path)
    defer { listener.close() }
    let notifier = notifier(["NOTIFY_SOCKET": path])
    #expect(notifier.isActive)
    try notifier.ready(status: "3 VMs")
    #expect(listener.receive() == "READY=1\nSTATUS=3 VMs\n")
    try notifier.status("lag 4 min")
    #expect(listener.receive() == "STATUS=lag 4 min\n")
    try notifier.watchdog()
    #expect(listener.receive() == "WATCHDOG=1\n")
    try notifier.reloading()
    let reloading = try #require(listener.receive())
    let wellFormed = /RELOADING=1\nMONOTONIC_USEC=[0-9]+\n/
    #expect(reloading.wholeMatch(of: wellFormed) != nil)
    try notifier.stopping()
    #expect(listener.receive() == "STOPPING=1\n")
  }

  @Test("a status text cannot smuggle in a message of its own")
  func statusIsOneLine() throws {
    let path = Self.paths()[1]
    let listener = try Listener(path)
    defer { listener.close() }
    try notifier(["NOTIFY_SOCKET": path]).status("web\nREADY=1\nMAINPID=1")
    #expect(listener.receive() == "STATUS=web?READY=1?MAINPID=1\n")
  }

  @Test(
    "outside systemd nothing is sent and nothing fails",
    arguments: [nil, "", "relative", "vsock:2:1"] as [String?])
  func inactive(_ path: String?) throws {
    let notifier = notifier(path.map { ["NOTIFY_SOCKET": $0] } ?? [:])
    #expect(!notifier.isActive)
    try notifier.ready(status: "x")
    try notifier.stopping()
  }

  @Test("a socket that is gone or has too long a name is an error that names it")
  func failures() {
    for path in ["/tmp/vmrepl-no-such-socket", "@" + String(repeating: "x", count: 200)] {
      let error = #expect(throws: SystemdNotifyError.self) {
        try notifier(["NOTIFY_SOCKET": path]).watchdog()
      }
      #expect(error?.description.contains(path.prefix(100)) == true)
      #expect(error?.remedy == .retryPass)
    }
  }

  @Test(
    "the watchdog's time counts only when it is meant for this process",
    arguments: [
      (["WATCHDOG_USEC": "60000000"], 60.0), (["WATCHDOG_USEC": "500000", "WATCHDOG_PID": "42"], 0.5),
      (["WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "43"], nil), (["WATCHDOG_USEC": "0"], nil),
      (["WATCHDOG_USEC": "-1"], nil), (["WATCHDOG_USEC": "soon"], nil), ([:], nil),
    ] as [([String: String], Double?)])
  func watchdogTime(values: [String: String], expected: Double?) {
    #expect(notifier(values).watchdogTimeoutSeconds == expected)
  }

  @Test("the longest names that fit a socket address are taken, longer ones are not")
  func addressLength() {
    #expect(UnixSocketAddress("/" + String(repeating: "x", count: 106)) != nil)
    #expect(UnixSocketAddress("/" + String(repeating: "x", count: 107)) == nil)
    #expect(UnixSocketAddress("@" + String(repeating: "x", count: 107)) != nil)
    #expect(UnixSocketAddress("@" + String(repeating: "x", count: 108)) == nil)
    #expect(UnixSocketAddress("@") == nil)
  }
}
