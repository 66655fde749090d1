import Foundation
import ReplIO
import ReplModel
import Testing

@testable import ReplTLS

@Suite("identity", .serialized)
struct TLSIdentityTests {
  @Test("a new identity is a 0600 key in a 0700 directory, and loads again as the same one")
  func roundTrip() throws {
    let scratch = try Scratch()
    let made = try TLSIdentity.create(in: scratch.sub("id"), name: "web/../01\n")
    #expect(scratch.mode("id") == 0o700)
    #expect(scratch.mode("id/key.pem") == 0o600)
    let loaded = try TLSIdentity.load(in: scratch.sub("id"))
    #expect(loaded.fingerprint == made.fingerprint)
    #expect(loaded.commonName == "web-..-01-")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.sub("id")).sorted() == [
        "certificate.pem", "key.pem",
      ])
  }

  @Test("openssl computes the same fingerprint and finds a 20-year P-256 certificate with a 128-bit serial")
  func judgedByOpenSSL() throws {
    let scratch = try Scratch()
    let identity = try scratch.identity("id")
    let certificate = scratch.sub("id/certificate.pem")
    try openssl(["x509", "-in", certificate, "-noout", "-pubkey", "-out", scratch.sub("public.pem")])
    try openssl([
      "pkey", "-pubin", "-in", scratch.sub("public.pem"), "-outform", "DER", "-out",
      scratch.sub("public.der"),
    ])
    let hash = try openssl(["dgst", "-sha256", "-r", scratch.sub("public.der")]).output
    #expect("sha256:" + hash.prefix(64) == identity.fingerprint.description)
    let text = try openssl(["x509", "-in", certificate, "-noout", "-text", "-serial"]).output
    #expect(text.contains("NIST CURVE: P-256"))
    #expect(text.contains("TLS Web Server Authentication, TLS Web Client Authentication"))
    #expect(text.contains("CA:FALSE"))
    let serial = try #require(text.split(separator: "\n").first { $0.hasPrefix("serial=") })
    #expect(serial.count == "serial=".count + 32)
    #expect(try openssl(["verify", "-CAfile", certificate, "-check_ss_sig", certificate]).status == 0)
    let years = identity.validUntil.seconds(since: SystemTime().wallTime()) / (365.25 * 86_400)
    #expect(years > 19.9 && years < 20.1)
  }

  @Test("an identity is never overwritten")
  func existing() throws {
    let scratch = try Scratch()
    let first = try scratch.identity("id")
    let error = #expect(throws: TLSError.self) { try scratch.identity("id") }
    #expect(error?.code == .identityExists)
    #expect(try TLSIdentity.load(in: scratch.sub("id")).fingerprint == first.fingerprint)
  }

  @Test("a key whose certificate a crash prevented keeps its key and gets a certificate")
  func unfinished() throws {
    let scratch = try Scratch()
    let first = try scratch.identity("id")
    try FileManager.default.removeItem(atPath: scratch.sub("id/certificate.pem"))
    #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
    #expect(try scratch.identity("id").fingerprint == first.fingerprint)
  }

  @Test(
    "a missing directory, key or certificate is named, with the command that makes them",
    arguments: [
      "", "key.pem", "certificate.pem",
    ])
  func missing(_ file: String) throws {
    let scratch = try Scratch()
    _ = try scratch.identity("id")
    try FileManager.default.removeItem(atPath: scratch.sub("id/\(file)"))
    let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
    #expect(error?.code == .identityMissing)
    #expect(error?.remedy == .stopVM)
    #expect(error?.detail.contains("id" + (file.isEmpty ? "" : "/\(file)")) == true)
    #expect(error?.detail.contains("run init") == true)
  }

  @Test(
    "too wide a directory or key is refused with its mode and the chmod that repairs it"
  )
  func tooWide() throws {
    let scratch = try Scratch()
    _ = try scratch.identity("id")
    for (name, wide, narrow) in [
      ("id", 0o750, 0o700), ("id/key.pem", 0o640, 0o600), ("id/key.pem", 0o604, 0o600),
    ] {
      chmod(scratch.sub(name), mode_t(wide))
      let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
      #expect(error?.code == .identityUnsafe)
      let found = "0" + String(wide, radix: 8)
      let expected = "0" + String(narrow, radix: 8)
      #expect(
        error?.detail
          == "\(scratch.sub(name)): has mode \(found), expected \(expected) or narrower: "
          + "run: chmod \(expected) \(scratch.sub(name))")
      chmod(scratch.sub(name), mode_t(narrow))
    }
    chmod(scratch.sub("id/key.pem"), 0o400)
    #expect(throws: Never.self) { try TLSIdentity.load(in: scratch.sub("id")) }
  }

  @Test("create refuses a directory that others can read")
  func createInWideDirectory() throws {
    let scratch = try Scratch()
    mkdir(scratch.sub("id"), 0o755)
    chmod(scratch.sub("id"), 0o755)
    let error = #expect(throws: TLSError.self) { try scratch.identity("id") }
    #expect(error?.code == .identityUnsafe)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.sub("id")).isEmpty)
  }

  @Test("only we and root may own an identity")
  func owner() {
    let path = "/k/key.pem"
    func problem(_ owner: UInt32) -> TLSError? {
      FileOwnership.problem(mode: 0o600, owner: owner, user: 998, path: path, expectedMode: 0o600)
    }
    #expect(problem(998) == nil)
    #expect(problem(0) == nil)
    #expect(
      problem(1000)?.detail
        == "/k/key.pem: owned by user 1000, expected user 998 or root: run: chown 998 /k/key.pem")
  }

  @Test("a key that is not the certificate's is refused")
  func mismatch() throws {
    let scratch = try Scratch()
    _ = try scratch.identity("a")
    _ = try scratch.identity("b")
    try scratch.write("a/certificate.pem", try scratch.text("b/certificate.pem"))
    let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("a")) }
    #expect(error?.code == .identityInvalid)
    #expect(error?.detail.contains("is not for the key beside it") == true)
  }

  @Test("an encrypted key is refused without asking anybody for a password")
  func encrypted() throws {
    let scratch = try Scratch()
    _ = try scratch.identity("id")
    let key = scratch.sub("id/key.pem")
    try openssl(["pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", scratch.sub("locked.pem")])
    try scratch.write("id/key.pem", try scratch.text("locked.pem"))
    chmod(key, 0o600)
    let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
    #expect(error?.code == .identityInvalid)
    #expect(error?.detail.contains("the key is encrypted") == true)
  }

  @Test("text that claims to be encrypted is refused without asking anybody for a password")
  func encryptedText() throws {
    let scratch = try Scratch()
    let identity = try scratch.identity("id")
    func encrypted(_ pem: String) -> String {
      var lines = pem.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      let claim = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF", ""]
      lines.insert(contentsOf: claim, at: 1)
      return lines.joined(separator: "\n")
    }
    var errors = [
      #expect(throws: TLSError.self) { try PublicKey(pem: encrypted(try identity.publicKeyPEM())) }
    ]
    let certificate = encrypted(try scratch.text("id/certificate.pem"))
    errors.append(
      #expect(throws: TLSError.self) { try Certificate.chain(pem: Array(certificate.utf8), path: "x") })
    // Whoever asks a person and gets no answer says so.
    for error in errors { #expect(error?.detail.contains("getting password") == false) }
  }

  @Test("damaged files are refused by name", arguments: ["key.pem", "certificate.pem"])
  func damaged(_ name: String) throws {
    let scratch = try Scratch()
    _ = try scratch.identity("id")
    let good = try scratch.text("id/\(name)")
    for bad in [
      "", "hello", String(good.prefix(good.count / 2)), good.replacingOccurrences(of: "M", with: "!"),
      String(repeating: "x", count: 70_000),
    ] {
      try scratch.write("id/\(name)", bad)
      let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
      #expect(error?.code == .identityInvalid)
      #expect(error?.detail.contains("id/\(name)") == true)
    }
  }

  @Test("a link in place of the key is not followed")
  func link() throws {
    let scratch = try Scratch()
    _ = try scratch.identity("id")
    rename(scratch.sub("id/key.pem"), scratch.sub("elsewhere.pem"))
    symlink(scratch.sub("elsewhere.pem"), scratch.sub("id/key.pem"))
    let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
    #expect(error?.code == .storage)
  }

  @Test("a weak key of our own is refused")
  func weak() throws {
    let scratch = try Scratch()
    mkdir(scratch.sub("id"), 0o700)
    try openssl([
      "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-days", "2", "-keyout",
      scratch.sub("id/key.pem"), "-out", scratch.sub("id/certificate.pem"),
    ])
    chmod(scratch.sub("id/key.pem"), 0o600)
    let error = #expect(throws: TLSError.self) { try TLSIdentity.load(in: scratch.sub("id")) }
    #expect(error?.code == .identityInvalid)
    #expect(error?.detail.contains("80 bits of security") == true)
  }

  @Test("names become plain ASCII of at most 64 characters")
  func names() {
    #expect(Certificate.safeName("") == "vmrepl")
    #expect(Certificate.safeName("web01.example_x-1") == "web01.example_x-1")
    #expect(Certificate.safeName("a/b,CN=ü\u{1B}[0m") == "a-b-CN----0m")
    #expect(Certificate.safeName(String(repeating: "x", count: 200)).count == 64)
  }
}
