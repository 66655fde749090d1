import Foundation
import ReplModel
import Testing

@testable import ReplTLS

@Suite("signatures") struct SignatureTests {
  /// Makes an identity whose key OpenSSL made.
  private func identity(_ scratch: Scratch, _ kind: String, _ arguments: [String]) throws -> TLSIdentity {
    let folder = scratch.sub(kind)
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    let made = try openssl(
      [
        "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=\(kind)", "-keyout", "\(folder)/key.pem",
        "-out",
        "\(folder)/certificate.pem",
      ] + arguments)
    try #require(made.status == 0, "\(made.output)")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(folder)/key.pem")
    return try TLSIdentity.load(in: folder)
  }

  static let kinds: [(kind: String, arguments: [String])] = [
    ("p256", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("rsa", ["-newkey", "rsa:2048"]),
    ("ed25519", ["-newkey", "ed25519"]),
  ]

  @Test("openssl verifies what an identity signs, and refuses it for other bytes", arguments: kinds)
  func judged(kind: String, arguments: [String]) throws {
    let scratch = try Scratch()
    let identity = try identity(scratch, kind, arguments)
    let bytes = Array("role: source\nsha256: 00\n".utf8)
    try scratch.write("text", String(decoding: bytes, as: UTF8.self))
    try scratch.write("other", "role: source\nsha256: 01\n")
    try scratch.write("public.pem", try identity.publicKeyPEM())
    let signature = try identity.sign(bytes)
    try Data(signature).write(to: URL(fileURLWithPath: scratch.sub("signature")))
    func verify(_ name: String) throws -> ProgramResult {
      try openssl(
        [
          "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", scratch.sub("public.pem"), "-in",
          scratch.sub(name), "-sigfile", scratch.sub("signature"),
        ]
          + (kind == "ed25519" ? [] : ["-digest", "sha256"]))
    }
    let good = try verify("text")
    #expect(good.status == 0, "\(good.output)")
    #expect(try verify("other").status != 0)
    let key = try PublicKey(pem: try identity.publicKeyPEM())
    #expect(key.fingerprint == identity.fingerprint)
    #expect(key.verify(signature, of: bytes))
    #expect(!key.verify(signature, of: bytes + [0]))
  }

  @Test("what openssl dgst signs is verified here, and the fingerprint is the one of PeerIdentity")
  func theOtherWay() throws {
    let scratch = try Scratch()
    let identity = try scratch.identity("ours")
    try scratch.write("text", "some text\n")
    let signed = try openssl([
      "dgst", "-sha256", "-sign", scratch.sub("ours/key.pem"), "-out", scratch.sub("signature"),
      scratch.sub("text"),
    ])
    try #require(signed.status == 0, "\(signed.output)")
    let signature = [UInt8](try Data(contentsOf: URL(fileURLWithPath: scratch.sub("signature"))))
    let key = try PublicKey(pem: try identity.publicKeyPEM())
    #expect(key.verify(signature, of: Array("some text\n".utf8)))
    #expect(key.fingerprint == identity.fingerprint)
  }

  @Test("a signature that was changed, cut or made by another key is none")
  func refused() throws {
    let scratch = try Scratch()
    let (ours, other) = (try scratch.identity("ours"), try scratch.identity("other"))
    let bytes = Array("text".utf8)
    let signature = try ours.sign(bytes)
    let key = try PublicKey(pem: try ours.publicKeyPEM())
    for index in signature.indices {
      var changed = signature
      changed[index] ^= 1
      #expect(!key.verify(changed, of: bytes), "byte \(index)")
    }
    #expect(!key.verify([], of: bytes))
    #expect(!key.verify(Array(signature.dropLast()), of: bytes))
    #expect(!key.verify(signature + [0], of: bytes))
    #expect(!(try PublicKey(pem: try other.publicKeyPEM())).verify(signature, of: bytes))
  }

  @Test(
    "what is no public key is refused with a sentence", arguments: ["", "x", "-----BEGIN PUBLIC KEY-----"])
  func noKey(pem: String) {
    let error = #expect(throws: TLSError.self) { try PublicKey(pem: pem) }
    #expect(error?.code == .cryptography)
    #expect(error?.detail.contains("not a PEM public key") == true)
  }
}
