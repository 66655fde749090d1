import Foundation
import ReplIO
import ReplModel
import Testing

@testable import ReplTLS

/// A CA made by openssl that issues certificates for identities of ours.
private struct Authority {
  let scratch: Scratch
  let name: String

  init(_ scratch: Scratch, _ name: String) throws {
    self.scratch = scratch
    self.name = name
    try openssl([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
      "/CN=\(name)",
      "-days", "30", "-keyout", scratch.sub("\(name).key"), "-out", scratch.sub("\(name).pem"),
    ])
  }

  var file: String { scratch.sub("\(name).pem") }

  /// Puts a certificate of this CA in place of the self-signed one.
  func issue(
    for identity: String, commonName: String, dns: String? = nil, days: String = "10", usage: String? = nil
  ) throws -> TLSIdentity {
    let (key, request) = (scratch.sub("\(identity)/key.pem"), scratch.sub("request.pem"))
    try openssl(["req", "-new", "-key", key, "-subj", "/CN=\(commonName)", "-out", request])
    var lines = ["basicConstraints=CA:FALSE"]
    if let dns { lines.append("subjectAltName=DNS:\(dns)") }
    if let usage { lines.append("extendedKeyUsage=\(usage)") }
    try scratch.write("extensions.txt", lines.joined(separator: "\n") + "\n")
    let result = try openssl([
      "x509", "-req", "-in", request, "-CA", file, "-CAkey", scratch.sub("\(name).key"), "-CAcreateserial",
      "-days", days, "-extfile", scratch.sub("extensions.txt"), "-out",
      scratch.sub("\(identity)/certificate.pem"),
    ])
    try #require(result.status == 0, "\(result.output)")
    return try TLSIdentity.load(in: scratch.sub(identity))
  }
}

@Suite("CA mode", .serialized)
struct CertificateAuthorityTests {
  private let pairing: Pairing
  private let authority: Authority

  init() throws {
    pairing = try Pairing()
    authority = try Authority(pairing.scratch, "ca")
  }

  /// The server's verdict on a client, and the client's first read.
  private func meet(
    _ client: TLSIdentity, allowing names: [String]
  ) throws -> (Result<String, TLSError>, TLSError?) {
    let serverContext = try TLSContext(
      role: .server, identity: pairing.server,
      policy: PeerPolicy(authority: .init(filePath: authority.file, allowedNames: names)))
    let clientContext = try TLSContext(role: .client, identity: client, policy: pairing.clientContext.policy)
    let (near, far) = try LoopbackListener().pair()
    let accepting = Background("accept") { () -> Result<String, TLSError> in
      do throws(TLSError) {
        let session = try TLSSession.handshake(
          socket: far, context: serverContext, deadline: Deadline(seconds: 10))
        defer { session.close() }
        return .success(session.peer.name)
      } catch {
        return .failure(error)
      }
    }
    let session = try TLSSession.handshake(
      socket: near, context: clientContext, deadline: Deadline(seconds: 10))
    var learned: TLSError?
    do { _ = try session.readAll(1) } catch { learned = error as? TLSError }
    session.interrupt()
    return (try accepting.value(), learned)
  }

  @Test("a certificate of the CA for an allowed name is let in under that name, by DNS name or common name")
  func allowed() throws {
    let byDNS = try authority.issue(for: "primary", commonName: "x", dns: "Web01.example")
    #expect(byDNS.fingerprint == pairing.client.fingerprint)
    #expect(try meet(byDNS, allowing: ["other", "web01.example"]).0 == .success("web01.example"))
    let byName = try authority.issue(for: "primary", commonName: "web01.example")
    #expect(try meet(byName, allowing: ["web01.example"]).0 == .success("web01.example"))
  }

  private func expectRefusal(
    _ client: TLSIdentity, _ says: String, alert: String, allowing names: [String] = ["web01"]
  ) throws {
    let (verdict, learned) = try meet(client, allowing: names)
    guard case .failure(let error) = verdict else {
      Issue.record("let in: \(client.commonName)")
      return
    }
    #expect(error.code == .peerRefused)
    #expect(error.detail.contains(says), "\(error)")
    #expect(error.detail.contains("\(client.fingerprint)"))
    #expect(error.detail.contains("expected a certificate of \(authority.file) for web01"))
    #expect(learned?.code == .refusedByPeer)
    #expect(learned?.detail.contains(alert) == true, "\(String(describing: learned))")
  }

  @Test(
    "wrong name, expired, other CA, for servers only, self-signed: each is refused and told why"
  )
  func refused() throws {
    let wrongName = try authority.issue(for: "primary", commonName: "mail", dns: "mail.example")
    try expectRefusal(wrongName, "its names are mail.example, mail", alert: "bad certificate")
    // A negative lifetime ends before it begins: expired since yesterday.
    let expired = try authority.issue(for: "primary", commonName: "web01", days: "-1")
    try expectRefusal(expired, "has expired", alert: "out of date (it ends \(expired.validUntil))")
    let serverOnly = try authority.issue(for: "primary", commonName: "web01", usage: "serverAuth")
    try expectRefusal(serverOnly, "purpose", alert: "unknown CA")
    let foreign = try Authority(pairing.scratch, "otherca").issue(for: "primary", commonName: "web01")
    try expectRefusal(foreign, "does not vouch for it", alert: "unknown CA")
    let selfSigned = try pairing.scratch.identity("web01")
    try expectRefusal(selfSigned, "does not vouch for it", alert: "unknown CA")
  }

  @Test("an expired certificate with a pinned key is let in: the key is the identity")
  func expiredButPinned() throws {
    let expired = try authority.issue(for: "primary", commonName: "x", days: "-1")
    let context = try TLSContext(role: .client, identity: expired, policy: pairing.clientContext.policy)
    let (near, far) = try LoopbackListener().pair()
    let serverContext = pairing.serverContext
    let accepting = Background("accept") {
      try TLSSession.handshake(socket: far, context: serverContext, deadline: Deadline(seconds: 10)).peer.name
    }
    let session = try TLSSession.handshake(socket: near, context: context, deadline: Deadline(seconds: 10))
    #expect(try accepting.value() == "primary")
    session.interrupt()
  }

  @Test("a pinned RSA key of 1024 bits is refused")
  func weakPeer() throws {
    let scratch = pairing.scratch
    try openssl([
      "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-days", "2", "-keyout",
      scratch.sub("weak.key"), "-out", scratch.sub("weak.pem"),
    ])
    let chain = try Certificate.chain(pem: Array(try scratch.text("weak.pem").utf8), path: "weak.pem")
    let shown = try #require(PeerCertificate(chain[0].handle))
    let policy = PeerPolicy(pinned: [.init(name: "weak", fingerprint: shown.fingerprint)])
    guard case .refused(let refusal) = policy.evaluate(shown) else {
      Issue.record("let in")
      return
    }
    #expect(refusal.kind == .weakKey)
    #expect(refusal.reason.contains("80 bits of security"))
  }

  @Test("a ca_file that is missing or holds no certificate is refused by name")
  func badFile() throws {
    try pairing.scratch.write("empty.pem", "nothing here\n")
    for name in ["absent.pem", "empty.pem"] {
      let path = pairing.scratch.sub(name)
      let error = #expect(throws: TLSError.self) {
        try TLSContext(
          role: .server, identity: pairing.server,
          policy: PeerPolicy(authority: .init(filePath: path, allowedNames: ["x"])))
      }
      #expect(error?.code == .authorityInvalid)
      #expect(error?.remedy == .stopVM)
      #expect(error?.detail.contains(path) == true)
    }
  }
}
