import NIOCore
import NIOHTTP1
import ReplModel

/// What the status server answers to which request.
struct StatusPages: Sendable {
  let processStart: WallTime
  let health: @Sendable () async -> Health
  let provide: @Sendable () async -> StatusDocument

  func answer(to head: HTTPRequestHead) async -> StatusAnswer {
    let path = head.uri.prefix { $0 != "?" && $0 != "#" }
    guard ["/metrics", "/healthz", "/status"].contains(path) else {
      return StatusAnswer(.notFound, "not found; try /status, /metrics or /healthz\n")
    }
    guard head.method == .GET || head.method == .HEAD else {
      return StatusAnswer(.methodNotAllowed, "only GET and HEAD\n", extra: [("Allow", "GET, HEAD")])
    }
    switch path {
    case "/metrics":
      let text = MetricsText.render(await provide(), processStart: processStart)
      return StatusAnswer(.ok, text, type: MetricsText.contentType)
    case "/healthz": return await healthAnswer()
    default: return await statusAnswer()
    }
  }

  private func healthAnswer() async -> StatusAnswer {
    switch await health() {
    case .ok: StatusAnswer(.ok, "ok\n")
    case .failing(let reason): StatusAnswer(.serviceUnavailable, SafeText.printable(reason) + "\n")
    }
  }

  private func statusAnswer() async -> StatusAnswer {
    let document = await provide()
    do throws(StatusJSONError) {
      let bytes = try StatusJSON.encode(document, now: document.generatedAt, isCompact: true)
      return StatusAnswer(.ok, bytes: bytes, type: "application/json")
    } catch {
      return StatusAnswer(.internalServerError, "\(error)\n")
    }
  }
}

/// One answer.
struct StatusAnswer: Sendable {
  let status: HTTPResponseStatus
  let headers: HTTPHeaders
  let body: ByteBuffer

  init(_ status: HTTPResponseStatus, bytes: [UInt8], type: String, extra: [(String, String)] = []) {
    self.status = status
    body = ByteBuffer(bytes: bytes)
    headers = HTTPHeaders(
      [
        ("Content-Type", type), ("Content-Length", "\(bytes.count)"), ("Connection", "close"),
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
      ] + extra)
  }

  init(
    _ status: HTTPResponseStatus, _ text: String, type: String = "text/plain; charset=utf-8",
    extra: [(String, String)] = []
  ) {
    self.init(status, bytes: Array(text.utf8), type: type, extra: extra)
  }

  /// Returns when the last byte has left: what follows is the end of the connection.
  func write(to channel: any Channel, isHead: Bool) async throws {
    let response = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
    channel.write(HTTPServerResponsePart.head(response), promise: nil)
    if !isHead { channel.write(HTTPServerResponsePart.body(.byteBuffer(body)), promise: nil) }
    try await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
  }
}
