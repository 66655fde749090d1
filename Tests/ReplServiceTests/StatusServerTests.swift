import Glibc
import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplService

/// The status server under friendly and hostile clients.
@Suite("Status server")
struct StatusServerTests {
  private func withServer(
    health: Health = .ok,
    provide: @escaping @Sendable () async -> StatusDocument = { StatusSamples.document },
    _ body: @Sendable (Int) async throws -> Void
  ) async throws {
    let server = try await StatusServer.start(
      on: NetworkAddress(host: "127.0.0.1", port: 0), processStart: StatusSamples.now, health: { health },
      provide: provide)
    try await withThrowingTaskGroup { group in
      group.addTask { await server.run() }
      do {
        try await body(server.port)
      } catch {
        group.cancelAll()
        throw error
      }
      group.cancelAll()
      // The server ends when its task is cancelled.
      try await group.waitForAll()
    }
  }

  @Test("status, health and metrics are served")
  func pages() async throws {
    try await withServer { port in
      let status = try await RawHTTP.get("/status", port)
      #expect(status.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(
        status.contains("Content-Type: application/json\r\n") && status.contains("\"lag_seconds\":245.5"))
      let metrics = try await RawHTTP.get("/metrics", port)
      #expect(metrics.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
      #expect(metrics.contains("\nvmrepl_vms 3\n"))
      let health = try await RawHTTP.get("/healthz?verbose=1", port)
      #expect(health.hasPrefix("HTTP/1.1 200 OK\r\n") && health.hasSuffix("\r\n\r\nok\n"))
    }
  }

  @Test("a large answer arrives whole")
  func largeAnswer() async throws {
    var document = StatusSamples.document
    document.vms = (0..<2000).map { StatusSamples.vm($0, "vm-\($0)", .idle) }
    let large = document
    try await withServer(provide: { large }) { port in
      let answer = try await RawHTTP.get("/metrics", port)
      #expect(answer.utf8.count > 2_000_000)
      let parts = answer.split(separator: "\r\n\r\n")
      try #require(parts.count == 2)
      #expect(parts[0].contains("Content-Length: \(parts[1].utf8.count)\r\n"))
      let read = try await StatusClient.fetch(from: NetworkAddress(host: "127.0.0.1", port: port))
      #expect(read?.vms.count == 2000)
    }
  }

  @Test("failing health is 503 with the reason on one line")
  func failingHealth() async throws {
    try await withServer(health: .failing("web01: stopped\nX-Bad: 1")) { port in
      let answer = try await RawHTTP.get("/healthz", port)
      #expect(answer.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
      #expect(answer.hasSuffix("\r\n\r\nweb01: stopped?X-Bad: 1\n"))
    }
  }

  @Test("HEAD has the length and no body")
  func head() async throws {
    try await withServer { port in
      let answer = try await RawHTTP.exchange("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", port)
      #expect(answer.contains("Content-Length: 3\r\n"))
      #expect(answer.hasSuffix("\r\n\r\n"))
    }
  }

  @Test(
    "anything else is refused",
    arguments: [
      ("GET / HTTP/1.1", "404"), ("GET /metrics/ HTTP/1.1", "404"), ("GET /../etc/passwd HTTP/1.1", "404"),
      ("GET //status HTTP/1.1", "404"), ("GET /%73tatus HTTP/1.1", "404"), ("POST / HTTP/1.1", "404"),
      ("POST /status HTTP/1.1", "405"), ("DELETE /metrics HTTP/1.1", "405"),
      ("OPTIONS /status HTTP/1.1", "405"),
      ("TRACE /status HTTP/1.1", "405"), ("GET http://x/status HTTP/1.1", "404"), ("nonsense", "400"),
      ("GET /status HTTP/9.9", "400"), ("\u{16}\u{3}\u{1}\u{0}", "400"),
    ])
  func refused(line: String, status: String) async throws {
    try await withServer { port in
      let answer = try await RawHTTP.exchange("\(line)\r\nHost: x\r\n\r\n", port)
      #expect(answer.hasPrefix("HTTP/1.1 \(status) ") || answer.hasPrefix("HTTP/1.0 \(status) "), "\(answer)")
      #expect(status != "405" || answer.contains("Allow: GET, HEAD\r\n"))
    }
  }

  @Test("one request a connection: what is pipelined behind it, or its body, is not read")
  func noPipelining() async throws {
    let asked = Counter()
    try await withServer(provide: {
      asked.add()
      return StatusSamples.document
    }) { port in
      let request = "GET /status HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
      let answer = try await RawHTTP.exchange(request + request + request, port)
      #expect(answer.contains("Connection: close\r\n"))
      #expect(answer.split(separator: "HTTP/1.1 200 OK").count == 1)
      #expect(asked.value == 1)
      let withBody = "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"
      #expect(try await RawHTTP.exchange(withBody, port).hasPrefix("HTTP/1.1 200 OK"))
    }
  }

  @Test("headers over 8 KiB are refused before they are kept")
  func largeHeaders() async throws {
    try await withServer { port in
      let padding = String(repeating: "x", count: 9000)
      let answer = try await RawHTTP.exchange(
        "GET /status HTTP/1.1\r\nHost: x\r\nX: \(padding)\r\n\r\n", port)
      #expect(answer.hasPrefix("HTTP/1.1 431 "))
      let fitting = String(repeating: "x", count: 7000)
      #expect(
        try await RawHTTP.exchange("GET /healthz HTTP/1.1\r\nHost: x\r\nX: \(fitting)\r\n\r\n", port)
          .hasPrefix(
            "HTTP/1.1 200"))
    }
  }

  @Test("a client that sends nothing, or half a request, is cut off after 5 seconds")
  func slowClients() async throws {
    try await withServer { port in
      let start = ContinuousClock.now
      async let silent = RawHTTP.exchange("", port)
      async let half = RawHTTP.exchange("GET /status HT", port)
      let answers = try await [silent, half]
      #expect(answers.allSatisfy { !$0.contains("200 OK") })
      #expect(ContinuousClock.now - start < .seconds(9))
      #expect(ContinuousClock.now - start > .seconds(4))
    }
  }

  @Test("more than 32 connections are closed at once, and the server lives on")
  func manyConnections() async throws {
    try await withServer { port in
      let sockets = try await NamedThread.run("test-sockets") {
        try (0..<40).map { _ in try RawHTTP.connect(port) }
      }
      defer { for socket in sockets { close(socket) } }
      // Of 40 idle connections at least 8 are closed by the server well before the deadline of 5 s.
      let ended = try await NamedThread.run("test-ended") {
        RawHTTP.countEnded(sockets, atLeast: 8, seconds: 4)
      }
      #expect(ended >= 8)
      for socket in sockets.prefix(20) { shutdown(socket, Int32(SHUT_RDWR)) }
      let deadline = Deadline(seconds: 10)
      var answer = ""
      while !answer.hasPrefix("HTTP/1.1 200"), !deadline.hasPassed {
        answer = try await RawHTTP.get("/healthz", port)
      }
      #expect(answer.hasPrefix("HTTP/1.1 200"))
    }
  }

  @Test("a server on another than a loopback address does not start")
  func onlyLoopback() async {
    for host in ["0.0.0.0", "192.0.2.1", "::", "example.com"] {
      let error = await #expect(throws: StatusServerError.self) {
        _ = try await StatusServer.start(
          on: NetworkAddress(host: host, port: 0), health: { .ok }, provide: { StatusSamples.document })
      }
      #expect(error?.description.contains("not a loopback address") == true)
    }
  }

  @Test("a port in use is an error that names it; a stopped server gives its port back")
  func portInUse() async throws {
    let any = NetworkAddress(host: "localhost", port: 0)
    let first = try await StatusServer.start(on: any, health: { .ok }, provide: { StatusSamples.document })
    let taken = NetworkAddress(host: "127.0.0.1", port: first.port)
    let error = await #expect(throws: StatusServerError.self) {
      _ = try await StatusServer.start(on: taken, health: { .ok }, provide: { StatusSamples.document })
    }
    #expect(error?.description.hasPrefix("\(taken): the status server cannot listen") == true)
    #expect(error?.description.contains("in use") == true)
    await first.stop()
    let again = try await StatusServer.start(on: taken, health: { .ok }, provide: { StatusSamples.document })
    #expect(again.port == taken.port)
    await again.stop()
    // Running a stopped server ends at once.
    await again.run()
  }

  @Test("the client reads what the server serves")
  func clientReads() async throws {
    try await withServer { port in
      let document = try await StatusClient.fetch(from: NetworkAddress(host: "localhost", port: port))
      #expect(document?.vms.map(\.name) == StatusSamples.document.vms.map(\.name))
      #expect(document?.generatedAt == StatusSamples.now)
    }
  }

  @Test("where nobody listens there is no document, and no error")
  func nobodyListens() async throws {
    let server = try await StatusServer.start(
      on: NetworkAddress(host: "127.0.0.1", port: 0), health: { .ok }, provide: { StatusSamples.document })
    await server.stop()
    let document = try await StatusClient.fetch(from: NetworkAddress(host: "127.0.0.1", port: server.port))
    #expect(document == nil)
  }

  @Test(
    "a program that is not ours, hangs or floods is an error within its time",
    arguments: [
      ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "same version"),
      ("SSH-2.0-OpenSSH\r\n", "no status"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "no status"), ("", "gave no answer within 4 s"),
    ])
  func foreignServer(answer: String, expected: String) async throws {
    let listener = try RawHTTP.listen()
    defer { close(listener.descriptor) }
    async let served: Void = NamedThread.run("test-foreign") {
      RawHTTP.serveOnce(listener.descriptor, answer)
    }
    let start = ContinuousClock.now
    let error = await #expect(throws: StatusClientError.self) {
      _ = try await StatusClient.fetch(from: NetworkAddress(host: "127.0.0.1", port: listener.port))
    }
    #expect(error?.description.contains(expected) == true, "\(String(describing: error))")
    #expect(ContinuousClock.now - start < .seconds(8))
    try await served
  }

  @Test("the client asks loopback addresses only")
  func clientStaysHome() async {
    let error = await #expect(throws: StatusClientError.self) {
      _ = try await StatusClient.fetch(from: NetworkAddress(host: "192.0.2.1", port: 1))
    }
    #expect(error?.detail == "is not a loopback address")
  }
}

/// Counts calls.
private final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func add() { count.add(1, ordering: .relaxed) }
}
