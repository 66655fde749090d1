import Foundation
import ReplIO
import ReplModel
import Testing

@testable import ReplTLS

/// A server of ours that answers `hello` to everyone it lets in and keeps what it said of the others.
private final class Server: Sendable {
  let listener: LoopbackListener
  let outcomes = Monitor<[Result<String, TLSError>]>([])
  private let context: TLSContext

  init(_ context: TLSContext) throws {
    listener = try LoopbackListener()
    self.context = context
  }

  /// Takes one connection on a thread of its own.
  func takeOne() {
    _ = NamedThread.start("server") { [listener, context, outcomes] in
      var outcome: Result<String, TLSError>
      do {
        let session = try TLSSession.handshake(
          socket: try listener.accept(), context: context, deadline: Deadline(seconds: 10))
        try session.writeAll(Array("hello".utf8))
        outcome = .success(session.peer.name)
        session.close()
      } catch {
        outcome = .failure((error as? TLSError) ?? TLSError(.storage, "\(error)"))
      }
      outcomes.withLock { $0.append(outcome) }
    }
  }

  func outcome(_ index: Int) throws -> Result<String, TLSError> {
    try #require(outcomes.wait(seconds: 15) { $0.count > index ? $0[index] : nil })
  }
}

@Suite("judged by openssl", .serialized)
struct OpenSSLJudgeTests {
  private func client(_ server: Server, _ arguments: [String]) throws -> ProgramResult {
    server.takeOne()
    return try openssl(["s_client", "-connect", "127.0.0.1:\(server.listener.port)"] + arguments)
  }

  private func certificate(_ scratch: Scratch, _ name: String) -> [String] {
    ["-cert", scratch.sub("\(name)/certificate.pem"), "-key", scratch.sub("\(name)/key.pem")]
  }

  @Test(
    "s_client needs TLS 1.3, a pinned certificate and ALPN, and the listener outlives each refusal"
  )
  func clients() throws {
    let pairing = try Pairing()
    _ = try pairing.scratch.identity("stranger")
    let server = try Server(pairing.serverContext)
    let good = certificate(pairing.scratch, "primary") + ["-alpn", "vmrepl/1", "-quiet"]
    let stranger = certificate(pairing.scratch, "stranger") + ["-alpn", "vmrepl/1", "-quiet"]
    let cases: [(arguments: [String], code: TLSError.Code, says: String, alert: String)] = [
      (good + ["-tls1_2"], .handshakeFailed, "offers no TLS 1.3", "protocol version"),
      (["-alpn", "vmrepl/1", "-quiet"], .peerRefused, "showed no certificate", "certificate required"),
      (stranger, .peerRefused, "expected one of \(pairing.client.fingerprint)", "bad certificate"),
      (
        certificate(pairing.scratch, "primary") + ["-quiet"], .handshakeFailed, "does not offer vmrepl/1",
        "application protocol"
      ),
      (
        certificate(pairing.scratch, "primary") + ["-alpn", "h2", "-quiet"], .handshakeFailed,
        "does not offer vmrepl/1", "application protocol"
      ),
      (good + ["-groups", "P-521"], .handshakeFailed, "no suitable key share", "handshake failure"),
    ]
    for (index, item) in cases.enumerated() {
      let refused = try client(server, item.arguments)
      #expect(!refused.output.contains("hello"), "\(item.arguments)")
      #expect(refused.output.contains(item.alert), "\(item.arguments): \(refused.output)")
      guard case .failure(let error) = try server.outcome(2 * index) else {
        Issue.record("let in with \(item.arguments)")
        continue
      }
      #expect(error.code == item.code, "\(item.arguments): \(error)")
      #expect(error.detail.contains(item.says), "\(item.arguments): \(error)")
      #expect(try client(server, good).output.contains("hello"), "after \(item.arguments)")
      #expect(try server.outcome(2 * index + 1) == .success("primary"))
    }
  }

  @Test("s_client gets TLS 1.3 and no session ticket")
  func noTickets() throws {
    let pairing = try Pairing()
    let server = try Server(pairing.serverContext)
    let arguments = certificate(pairing.scratch, "primary") + ["-alpn", "vmrepl/1", "-msg", "-ign_eof"]
    let output = try client(server, arguments).output
    #expect(output.contains("TLSv1.3"))
    #expect(output.contains("ALPN protocol: vmrepl/1"))
    #expect(output.contains("hello"))
    #expect(!output.contains("NewSessionTicket"))
    #expect(!output.contains("Reused"))
  }

  @Test(
    "plain HTTP, SSH and noise are refused as not TLS, and the listener lives on",
    arguments: [
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
      "\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}",
      "vmrepl 0.1.0 protocol 1-1\n",
    ])
  func plaintext(_ text: String) throws {
    let pairing = try Pairing()
    let server = try Server(pairing.serverContext)
    server.takeOne()
    let descriptor = try LoopbackListener.connect(port: server.listener.port)
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    #expect(write(descriptor, bytes, bytes.count) == bytes.count)
    guard case .failure(let error) = try server.outcome(0) else {
      Issue.record("let in")
      return
    }
    #expect(error.code == .notTLS || error.code == .handshakeFailed, "\(error)")
    let good = certificate(pairing.scratch, "primary") + ["-alpn", "vmrepl/1", "-quiet"]
    #expect(try client(server, good).output.contains("hello"))
  }

  /// Starts `s_server`, dials it with a context of ours and answers what came of it.
  private func dial(
    _ context: TLSContext, serving arguments: [String]
  ) throws -> Result<PeerIdentity, TLSError> {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = ["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"] + arguments
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    try process.run()
    defer {
      process.terminate()
      process.waitUntilExit()
    }
    var text = ""
    while !text.contains("ACCEPT ") || !text.hasSuffix("\n") {
      let more = output.fileHandleForReading.availableData
      try #require(!more.isEmpty, "s_server ended: \(text)")
      text += String(decoding: more, as: UTF8.self)
    }
    let digits = try #require(
      text.split(separator: "\n").first { $0.hasPrefix("ACCEPT ") }?.split(separator: ":").last)
    let descriptor = try LoopbackListener.connect(port: try #require(UInt16(digits)))
    do throws(TLSError) {
      let session = try TLSSession.handshake(
        socket: descriptor, context: context, deadline: Deadline(seconds: 10))
      return .success(session.peer)
    } catch {
      return .failure(error)
    }
  }

  @Test("our client accepts an s_server that is pinned, and refuses a wrong key, TLS 1.2 and missing ALPN")
  func servers() throws {
    let pairing = try Pairing()
    _ = try pairing.scratch.identity("stranger")
    let pinned = certificate(pairing.scratch, "dr") + ["-Verify", "1"]
    let alpn = ["-alpn", "vmrepl/1"]
    #expect(
      try dial(pairing.clientContext, serving: pinned + alpn)
        == .success(PeerIdentity(name: "dr", fingerprint: pairing.server.fingerprint)))
    let wrong: [([String], TLSError.Code, String)] = [
      (
        certificate(pairing.scratch, "stranger") + alpn, .peerRefused,
        "expected one of \(pairing.server.fingerprint) (dr)"
      ),
      (pinned + alpn + ["-tls1_2"], .handshakeFailed, "TLS 1.3"),
      (pinned, .handshakeFailed, "did not agree on vmrepl/1"),
    ]
    for (arguments, code, says) in wrong {
      guard case .failure(let error) = try dial(pairing.clientContext, serving: arguments) else {
        Issue.record("accepted \(arguments)")
        continue
      }
      #expect(error.code == code, "\(arguments): \(error)")
      #expect(error.detail.contains(says), "\(arguments): \(error)")
    }
  }
}
