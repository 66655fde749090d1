import ReplModel
import Testing

@testable import ReplProtocol

@Suite("proofs") struct ProofTests {
  private func json(_ message: some ControlMessage) throws -> String {
    String(decoding: try message.encode(), as: UTF8.self)
  }

  @Test("reading, golden")
  func readingGolden() throws {
    #expect(try json(Fixture.reading) == #"{"doneBytes":4096,"totalBytes":98309}"#)
  }

  @Test("proof and statement, golden: what a peer of another version must be able to read")
  func golden() throws {
    let source = [
      #"{"signed":{"claim":{"disks":["#,
      #"{"disk":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","#,  // the disks of the point in its order
      #""grid":{"pageSizeBytes":4096,"sizeBytes":65536},"#,
      #""keyID":"55555555-5555-4555-8555-555555555555","#,
      #""root":""#, String(repeating: "dd", count: 32), #"","#,  // both, or neither
      #""sha256":""#, String(repeating: "cc", count: 32), #"","slot":"scsi0:0"},"#,
      #"{"disk":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","grid":{"pageSizeBytes":4096,"sizeBytes":32773},"#,
      #""keyID":"55555555-5555-4555-8555-555555555555","slot":"nvme0:1","#,
      #""unreadable":{"cause":"Input/output error","offsetBytes":4096,"systemCode":5}}],"#,
      #""fingerprint":"sha256:"#, String(repeating: "cc", count: 32), #"","#,  // of the key that signs
      #""frozenAt":"2026-11-22T16:44:05.123Z","name":"web01","#,
      #""pass":"22222222-2222-4222-8222-222222222222","point":{"epoch":3,"number":8},"#,
      #""readFrom":"2026-11-22T16:44:05.123Z","readUntil":"2026-11-22T16:44:05.123Z","#,
      #""receiver":"44444444-4444-4444-8444-444444444444","role":"source","#,
      #""vm":"11111111-1111-4111-8111-111111111111"},"#,
      #""publicKey":"PEM","signature":"c2ln"}}"#,
    ].joined()
    #expect(try json(Proof(Fixture.signedProof)) == source)
    #expect(try Proof.decode(Array(source.utf8)) == Proof(Fixture.signedProof))
    let target = try json(Statement(Fixture.signedAnswer))
    #expect(target.contains(#""answers":""# + String(repeating: "cc", count: 32)))
    #expect(target.contains(#""differing":{"offsetsBytes":[0,8192],"pages":3}"#))
    #expect(target.contains(#""verdict":"differing""#))
    #expect(target.contains(#""role":"target""#))
    #expect(try Statement.decode(Array(target.utf8)) == Statement(Fixture.signedAnswer))
  }

  @Test("the text that is signed, byte for byte")
  func signedText() {
    let hash = String(repeating: "cc", count: 32)
    let root = String(repeating: "dd", count: 32)
    let expected = """
      vmrepl proof claim 1
      role: target
      vm: 11111111-1111-4111-8111-111111111111
      name: web01
      receiver: 44444444-4444-4444-8444-444444444444
      point: 3.8
      pass: 22222222-2222-4222-8222-222222222222
      frozen-at: 2026-11-22T16:44:05.123Z
      read-from: 2026-11-22T16:44:05.123Z
      read-until: 2026-11-22T16:44:05.123Z
      fingerprint: sha256:\(hash)
      answers: \(hash)
      disk: aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa
      slot: scsi0:0
      size: 65536
      page-size: 4096
      key: 55555555-5555-4555-8555-555555555555
      root: \(root)
      sha256: \(root)
      differing-pages: 3 at 0 8192
      verdict: differing
      disk: bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb
      slot: nvme0:1
      size: 32773
      page-size: 4096
      key: 55555555-5555-4555-8555-555555555555
      unreadable: 4096 5 Input/output error
      verdict: inconclusive

      """
    #expect(Fixture.claim(.target).signedText == expected)
  }

  @Test("no name and no cause can add a line to the text that is signed")
  func noLineBreaks() {
    var claim = Fixture.claim(.target)
    claim.name = "web01\nverdict: identical"
    claim.disks[1].unreadable?.cause = "x\u{2028}root: 00\r\nverdict: identical"
    let lines = claim.signedText.split(whereSeparator: \.isNewline)
    #expect(lines.count == Fixture.claim(.target).signedText.split(whereSeparator: \.isNewline).count)
    #expect(!lines.contains("verdict: identical"))
  }

  @Test("identical needs both roots and both hashes; what was not read is never identical")
  func verdicts() {
    let disk = Fixture.claim(.source).disks[0]
    #expect(ProofClaim.Disk.verdict(source: disk, target: disk) == .identical)
    for change in [
      { $0.root = Fixture.hash }, { $0.sha256 = Fixture.root }, { $0.grid = Fixture.gridB },
    ] as [(inout ProofClaim.Disk) -> Void] {
      var other = disk
      change(&other)
      #expect(ProofClaim.Disk.verdict(source: disk, target: other) == .differing)
      #expect(ProofClaim.Disk.verdict(source: other, target: disk) == .differing)
    }
    var unread = disk
    (unread.root, unread.sha256) = (nil, nil)
    #expect(ProofClaim.Disk.verdict(source: disk, target: unread) == .inconclusive)
    #expect(ProofClaim.Disk.verdict(source: unread, target: disk) == .inconclusive)
    #expect([ProofVerdict.identical, .inconclusive, .differing].together == .differing)
    #expect([ProofVerdict.identical, .inconclusive].together == .inconclusive)
    #expect([ProofVerdict.identical, .identical].together == .identical)
    #expect([ProofVerdict]().together == .inconclusive)
  }

  static let refused: [(name: String, change: @Sendable (inout ProofClaim) -> Void)] = [
    ("a source's claim from the target", { $0.role = .source }),
    ("no answer", { $0.answers = nil }),
    ("no disks", { $0.disks = [] }),
    ("65 disks", { $0.disks = Array(repeating: $0.disks[0], count: 65) }),
    ("a root without a hash", { $0.disks[0].sha256 = nil }),
    ("neither root nor cause", { $0.disks[1].unreadable = nil }),
    ("no verdict", { $0.disks[0].verdict = nil }),
    ("17 places", { $0.disks[0].differing = .init(pages: 17, offsetsBytes: Array(repeating: 0, count: 17)) }),
    ("more places than pages", { $0.disks[0].differing = .init(pages: 1, offsetsBytes: [0, 1]) }),
    ("a place outside", { $0.disks[0].differing = .init(pages: 1, offsetsBytes: [65_536]) }),
    ("more pages than there are", { $0.disks[0].differing = .init(pages: 17, offsetsBytes: [0]) }),
    ("a cause without end", { $0.disks[1].unreadable?.cause = String(repeating: "x", count: 2000) }),
    ("an empty name", { $0.name = "" }),
  ]

  @Test("a statement that breaks a rule is refused before anything is done with it", arguments: refused)
  func refuses(name: String, change: @Sendable (inout ProofClaim) -> Void) throws {
    var signed = Fixture.signedAnswer
    change(&signed.claim)
    #expect(throws: ProtocolError.self) { try Statement(signed).encode() }
  }

  @Test("a statement about another point, other disks, or with a verdict that does not follow is refused")
  func foreign() throws {
    let (point, proof) = (Fixture.committed.point, Proof(Fixture.signedProof))
    try proof.validate(of: point)
    try Statement(Fixture.signedAnswer).validate(of: point, answering: proof)
    let changes: [(inout ProofClaim) -> Void] = [
      { $0.point = PointReference(epoch: Epoch(3), number: 9) }, { $0.pass = Fixture.previousPass },
      { $0.vm = VMID(high: 1, low: 1) }, { $0.disks.swapAt(0, 1) }, { $0.disks.removeLast() },
      { $0.disks[0].grid = Fixture.gridB }, { $0.disks[0].verdict = .identical },
      { $0.disks[1].verdict = .identical },
    ]
    for change in changes {
      var signed = Fixture.signedAnswer
      change(&signed.claim)
      #expect(throws: ProtocolError.self) {
        try Statement(signed).validate(of: point, answering: proof)
      }
    }
  }

  @Test("reading must get on, of one total, within the disks")
  func progress() throws {
    let first = Reading(doneBytes: 0, totalBytes: 100)
    try first.validate(after: nil)
    try Reading(doneBytes: 1, totalBytes: 100).validate(after: first)
    #expect(throws: ProtocolError.self) { try first.validate(after: first) }
    #expect(throws: ProtocolError.self) { try Reading(doneBytes: 5, totalBytes: 99).validate(after: first) }
    for bad in [
      Reading(doneBytes: 2, totalBytes: 1), .init(doneBytes: -1, totalBytes: 1),
      .init(doneBytes: 0, totalBytes: 0), .init(doneBytes: 0, totalBytes: .max),
    ] {
      #expect(throws: ProtocolError.self) { try bad.encode() }
    }
  }

  @Test("the wish for a proof stands in offer and accept, and only where there is one")
  func wishes() throws {
    var (offer, accept) = (Fixture.offer, Fixture.accept)
    #expect(try !json(offer).contains("wantsProof") && !json(accept).contains("wantsProof"))
    (offer.wantsProof, accept.wantsProof) = (true, true)
    #expect(try json(offer).contains(#""vmxHash":"#) && json(offer).hasSuffix(#""wantsProof":true}"#))
    #expect(try Offer.decode(try offer.encode()) == offer)
    #expect(try Accept.decode(try accept.encode()) == accept)
  }

  @Test("a proof follows settled, both sides read at once, and each waits only for the other's reading")
  func states() throws {
    var pair = try SessionStateTests.Pair()
    try pair.source(.offer)
    try pair.target(.accept)
    try pair.source(.commit)
    try pair.target(.committed, .settled)
    #expect(throws: ProtocolError.self) { try pair.target.sending(.reading) }
    #expect(throws: ProtocolError.self) { try pair.source.sending(.proof) }
    try pair.source(.reading)
    #expect(pair.source.phase == .proofReading && pair.target.phase == .proofReading)
    #expect(pair.source.deadlineSeconds == nil && pair.target.deadlineSeconds == 300)
    try pair.target(.reading, .heartbeat, .reading)
    try pair.source(.reading, .heartbeat)
    #expect(throws: ProtocolError.self) { try pair.target.sending(.statement) }
    try pair.source(.proof)
    #expect(pair.source.deadlineSeconds == 300 && pair.target.deadlineSeconds == nil)
    #expect(throws: ProtocolError.self) { try pair.source.sending(.reading) }
    try pair.target(.reading, .statement)
    #expect(pair.source.phase == .proven)
    #expect(pair.source.deadlineSeconds == 30 && pair.target.deadlineSeconds == 30)
    try pair.source(.goodbye)
    try pair.target(.goodbye)
    #expect(pair.source.phase == .closed && pair.target.phase == .closed)
  }

  @Test("without the feature no message of a proof is taken")
  func notAgreed() throws {
    var pair = try SessionStateTests.Pair()
    try pair.source(.offer)
    try pair.target(.accept)
    try pair.source(.commit)
    try pair.target(.committed, .settled)
    pair.source.agree(on: [.resend, .tree, .seed])
    pair.target.agree(on: [.resend, .tree, .seed])
    #expect(throws: ProtocolError.featureNotAgreed(.proof, .reading)) { try pair.source.sending(.reading) }
    #expect(throws: ProtocolError.featureNotAgreed(.proof, .reading)) { try pair.target.received(.reading) }
    #expect(pair.target.phase == .settled)
  }
}
