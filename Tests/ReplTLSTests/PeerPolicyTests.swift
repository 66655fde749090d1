import ReplModel
import Testing

@testable import ReplTLS

@Suite("peer policy")
struct PeerPolicyTests {
  private func fingerprint(_ byte: UInt8) -> Fingerprint {
    Fingerprint(hash: Hash256(bytes: [UInt8](repeating: byte, count: 32))!)
  }

  private func shown(
    _ byte: UInt8, name: String = "", dns: [String] = [], bits: Int32 = 128,
    chain: PeerCertificate.Chain = .notChecked
  ) -> PeerCertificate {
    PeerCertificate(
      fingerprint: fingerprint(byte), commonName: name, dnsNames: dns,
      validFrom: WallTime(millisecondsSince1970: 0), validUntil: WallTime(millisecondsSince1970: 86_400_000),
      securityBits: bits, chain: chain)
  }

  private func refusal(_ decision: PeerPolicy.Decision) -> PeerPolicy.Refusal? {
    if case .refused(let refusal) = decision { refusal } else { nil }
  }

  @Test("a pinned key is allowed under its pin's name, whatever the certificate says")
  func pinned() {
    let policy = PeerPolicy(pinned: [
      .init(name: "dr", fingerprint: fingerprint(1)), .init(name: "dr", fingerprint: fingerprint(2)),
    ])
    for byte: UInt8 in [1, 2] {
      // Valid for one day of 1970 and under another name: the key is what counts.
      #expect(
        policy.evaluate(shown(byte, name: "other"))
          == .allowed(PeerIdentity(name: "dr", fingerprint: fingerprint(byte))))
    }
  }

  @Test("a refusal names what was shown and what was expected")
  func message() {
    let policy = PeerPolicy(pinned: [.init(name: "dr\u{1B}", fingerprint: fingerprint(1))])
    let refusal = refusal(policy.evaluate(shown(0xAB, name: "evil")))
    #expect(refusal?.kind == .unknown)
    #expect(
      refusal?.reason
        == "the peer showed certificate \(fingerprint(0xAB)) (evil), valid from 1970-01-01T00:00:00.000Z "
        + "until 1970-01-02T00:00:00.000Z, expected one of \(fingerprint(1)) (dr?): "
        + "pin it if this is the right machine")
  }

  @Test("an empty policy lets nobody in, and a message lists at most eight pins")
  func emptyAndLong() {
    #expect(
      refusal(PeerPolicy().evaluate(shown(1)))?.reason.contains("nobody (no peer is configured)") == true)
    let pins = (0..<20).map { PeerPolicy.Pin(name: "n", fingerprint: fingerprint(UInt8($0))) }
    let long = refusal(PeerPolicy(pinned: pins).evaluate(shown(99)))
    #expect(long?.reason.contains("and 12 more") == true)
  }

  @Test("a weak key is refused even when it is pinned")
  func weak() {
    let policy = PeerPolicy(pinned: [.init(name: "dr", fingerprint: fingerprint(1))])
    #expect(refusal(policy.evaluate(shown(1, bits: 80)))?.kind == .weakKey)
  }

  @Test("with a CA, chain, dates and name must all hold")
  func authority() {
    let policy = PeerPolicy(authority: .init(filePath: "/ca.pem", allowedNames: ["", "DR1.example"]))
    func evaluate(_ certificate: PeerCertificate) -> PeerPolicy.Decision { policy.evaluate(certificate) }
    let allowed = PeerPolicy.Decision.allowed(PeerIdentity(name: "DR1.example", fingerprint: fingerprint(1)))
    #expect(evaluate(shown(1, name: "x", dns: ["dr1.EXAMPLE"], chain: .trusted)) == allowed)
    #expect(evaluate(shown(1, name: "dr1.example", chain: .trusted)) == allowed)
    let wrong: [(PeerCertificate, PeerPolicy.Refusal.Kind)] = [
      (shown(1, name: "dr2.example", dns: ["*.example"], chain: .trusted), .wrongName),
      (shown(1, name: "", chain: .trusted), .wrongName),
      (shown(1, name: "dr1.example", chain: .expired), .expired),
      (shown(1, name: "dr1.example", chain: .notYetValid), .notYetValid),
      (shown(1, name: "dr1.example", chain: .untrusted("self-signed")), .untrusted),
      (shown(1, name: "dr1.example", chain: .notChecked), .untrusted),
      (shown(1, name: "dr1.example", bits: 80, chain: .trusted), .weakKey),
    ]
    for (certificate, kind) in wrong { #expect(refusal(evaluate(certificate))?.kind == kind) }
  }

  @Test("a pin counts beside a CA that would refuse")
  func both() {
    let policy = PeerPolicy(
      pinned: [.init(name: "old", fingerprint: fingerprint(1))],
      authority: .init(filePath: "/ca.pem", allowedNames: ["new"]))
    #expect(
      policy.evaluate(shown(1, chain: .expired))
        == .allowed(PeerIdentity(name: "old", fingerprint: fingerprint(1))))
    #expect(refusal(policy.evaluate(shown(2, chain: .expired)))?.kind == .expired)
  }
}
