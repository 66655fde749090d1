import Foundation
import ReplDigest
import ReplModel
import ReplProtocol
import ReplTestKit
import ReplTLS
import Testing

@testable import ReplPass

/// What makes a statement worth keeping.
@Suite struct ProofStatementTests {
  /// Of both sides.
  private struct Claims {
    var ours: ProofClaim
    var theirs: ProofClaim
  }

  private final class Scene {
    let folder = NSTemporaryDirectory() + "vmrepl-statement-\(UUID().uuidString)"
    let source: TLSIdentity
    let target: TLSIdentity

    init() throws {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      source = try TLSIdentity.create(in: folder + "/source", name: "source")
      target = try TLSIdentity.create(in: folder + "/target", name: "target")
    }

    // A leftover in the temporary folder harms nobody.
    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func claims(_ change: (inout Claims) -> Void = { _ in }) -> Claims {
      let hash = SHA256Hasher.hash([1])
      let disk = ProofClaim.Disk(
        disk: DiskID(high: 1, low: 1), slot: DiskSlot("scsi0:0")!,
        grid: PageGrid(sizeBytes: 10_240, pageSizeBytes: 4096)!, keyID: KeyID(high: 2, low: 2), root: hash,
        sha256: hash)
      let ours = ProofClaim(
        role: .source, vm: VMID(high: 3, low: 3), name: "web01", receiver: ReceiverID(high: 4, low: 4),
        point: PointReference(epoch: Epoch(1), number: 7), pass: PassID(high: 5, low: 5),
        frozenAt: WallTime(millisecondsSince1970: 1_795_365_845_123),
        readFrom: WallTime(millisecondsSince1970: 1_795_365_850_000),
        readUntil: WallTime(millisecondsSince1970: 1_795_365_890_000), fingerprint: source.fingerprint,
        answers: nil, disks: [disk])
      var theirs = ours
      (theirs.role, theirs.fingerprint) = (.target, target.fingerprint)
      theirs.disks[0].verdict = .identical
      var claims = Claims(ours: ours, theirs: theirs)
      change(&claims)
      if claims.theirs.answers == nil {
        claims.theirs.answers = SHA256Hasher.hash(Array(claims.ours.signedText.utf8))
      }
      return claims
    }

    func statement(_ change: (inout Claims) -> Void = { _ in }) throws -> ProofStatement {
      let claims = claims(change)
      return try ProofStatement(
        source: try SignedClaim.sign(claims.ours, as: source),
        target: try SignedClaim.sign(claims.theirs, as: target))
    }
  }

  @Test("a statement comes back from its file as it was")
  func roundTrip() throws {
    let statement = try Scene().statement()
    let bytes = try statement.encode()
    #expect(try ProofStatement.decode(bytes, path: "p") == statement)
    #expect(statement.fileName == "00000000-0000-0003-0000-000000000003-1.7-20261122T164450.000Z.json")
    #expect(bytes.last == UInt8(ascii: "\n"))
  }

  @Test("no byte of a statement can be changed: it is refused, or says the same")
  func tampering() throws {
    let statement = try Scene().statement()
    let bytes = try statement.encode()
    var (refused, same) = (0, 0)
    for index in stride(from: 0, to: bytes.count, by: 3) {
      var changed = bytes
      changed[index] = changed[index] == UInt8(ascii: "1") ? UInt8(ascii: "2") : UInt8(ascii: "1")
      do throws(ProofError) {
        // White space and the like.
        #expect(try ProofStatement.decode(changed, path: "p") == statement, "byte \(index)")
        same += 1
      } catch { refused += 1 }
    }
    #expect(refused > 900, "\(refused) refused, \(same) the same")
  }

  @Test(
    "what is believed by people and programs that do not check is checked: verdicts, hashes, names, times")
  func summary() throws {
    let scene = try Scene()
    let text = String(decoding: try scene.statement().encode(), as: UTF8.self)
    for (from, to) in [
      (#""verdict" : "identical""#, #""verdict" : "differing""#),
      (#""name" : "web01""#, #""name" : "web02""#),
      (#""sizeBytes" : 10240"#, #""sizeBytes" : 10241"#),
      ("2026-11-22T16:44:05.123Z", "2026-11-22T16:44:05.124Z"),
      (#""number" : 7"#, #""number" : 8"#),
    ] {
      let parts = text.components(separatedBy: from)
      try #require(parts.count > 1, "\(from)")
      for place in 1..<parts.count {
        let changed = parts[..<place].joined(separator: from) + to + parts[place...].joined(separator: from)
        #expect(throws: ProofError.self, "\(from) number \(place)") {
          try ProofStatement.decode(Array(changed.utf8), path: "p")
        }
      }
      // All of them alike: then the signatures are wrong.
      #expect(throws: ProofError.self) {
        try ProofStatement.decode(Array(text.replacing(from, with: to).utf8), path: "p")
      }
    }
  }

  @Test("claims that do not belong together make no statement, however well they are signed")
  func together() throws {
    let scene = try Scene()
    let changes: [(name: String, change: (inout Claims) -> Void)] = [
      ("another point", { $0.theirs.point = PointReference(epoch: Epoch(1), number: 8) }),
      ("another VM", { $0.theirs.vm = VMID(high: 9, low: 9) }),
      ("another time", { $0.theirs.frozenAt = WallTime(millisecondsSince1970: 0) }),
      ("another disk", { $0.theirs.disks[0].disk = DiskID(high: 9, low: 9) }),
      ("an answer to another claim", { $0.theirs.answers = SHA256Hasher.hash([9]) }),
      ("a green verdict over another hash", { $0.theirs.disks[0].sha256 = SHA256Hasher.hash([9]) }),
      ("a green verdict over another root", { $0.ours.disks[0].root = SHA256Hasher.hash([9]) }),
      ("a key that is not the one that signs", { $0.theirs.fingerprint = $0.ours.fingerprint }),
    ]
    for (name, change) in changes {
      #expect(throws: ProofError.self, "\(name)") { try scene.statement(change) }
    }
    let claims = scene.claims()
    #expect(throws: ProofError.self, "source and target exchanged") {
      try ProofStatement(
        source: try SignedClaim.sign(claims.theirs, as: scene.target),
        target: try SignedClaim.sign(claims.ours, as: scene.source))
    }
  }

  @Test("a claim that is signed with another key than the peer's TLS key is refused")
  func foreignKey() throws {
    let scene = try Scene()
    let claims = scene.claims()
    let source = try SignedClaim.sign(claims.ours, as: scene.source)
    let target = try SignedClaim.sign(claims.theirs, as: scene.target)
    _ = try ProofDesk.join(source: source, target: target, by: scene.source.fingerprint, at: .target)
    _ = try ProofDesk.join(source: source, target: target, by: scene.target.fingerprint, at: .source)
    #expect(throws: PassError.self) {
      try ProofDesk.join(source: source, target: target, by: scene.target.fingerprint, at: .target)
    }
    #expect(throws: PassError.self) {
      try ProofDesk.join(source: source, target: target, by: scene.source.fingerprint, at: .source)
    }
  }

  @Test("a key or a signature in another spelling is refused, although it is the same key or signature")
  func spelling() throws {
    let scene = try Scene()
    let claims = scene.claims()
    let source = try SignedClaim.sign(claims.ours, as: scene.source)
    var target = try SignedClaim.sign(claims.theirs, as: scene.target)
    // Most ECDSA signatures are not a multiple of three bytes long: their last digit has bits to spare.
    for _ in 0..<100 where !target.signature.hasSuffix("=") {
      target = try SignedClaim.sign(claims.theirs, as: scene.target)
    }
    _ = try ProofStatement(source: source, target: target)
    let digits = target.signature.prefix { $0 != "=" }
    let padding = target.signature.suffix(target.signature.count - digits.count)
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    let digit = try #require(digits.last)
    let last = try #require(alphabet.firstIndex(of: digit))
    var other = target
    other.signature = String(digits.dropLast()) + String(alphabet[last ^ 1]) + String(padding)
    #expect(Data(base64Encoded: other.signature) == Data(base64Encoded: target.signature))
    #expect(throws: ProofError.self) { try ProofStatement(source: source, target: other) }
    other = target
    other.publicKey = "a note\n" + target.publicKey
    #expect(throws: ProofError.self) { try ProofStatement(source: source, target: other) }
  }

  @Test("what is no statement is refused with its path")
  func noStatement() {
    for text in ["", "{}", "[]", #"{"format":"vmrepl-proof-statement","version":2}"#] {
      let error = #expect(throws: ProofError.self) {
        try ProofStatement.decode(Array(text.utf8), path: "some.json")
      }
      #expect("\(error!)".contains("some.json"))
    }
  }

  @Test("the worked example of the page decodes, and both its signatures verify")
  func page() throws {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let path = "/\(root)/Sources/ReplPass/ReplPass.docc/ProofStatement.md"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let block = try #require(
      text.components(separatedBy: "```json\n").last?.components(separatedBy: "```").first)
    let statement = try ProofStatement.decode(Array(block.utf8), path: path)
    #expect(statement.verdict == .identical && statement.target.claim.name == "web01")
    #expect(try statement.encode() == Array(block.utf8), "the page shows the file as it is written")
  }
}
