import ReplCompression
import ReplModel
import Testing

@testable import ReplProtocol

/// The exact JSON of every control message: what a peer of another version must be able to read.
@Suite("control messages, golden")
struct ControlGoldenTests {
  private func check<Message: ControlMessage & Equatable>(
    _ message: Message, _ parts: [String], location: SourceLocation = #_sourceLocation
  ) throws {
    let json = parts.joined()
    #expect(String(decoding: try message.encode(), as: UTF8.self) == json, sourceLocation: location)
    #expect(try Message.decode(Array(json.utf8)) == message, sourceLocation: location)
  }

  @Test("hello")
  func hello() throws {
    try check(
      Fixture.hello,
      [
        #"{"codecs":["raw","zlib","zstd"],"#,  // codec names
        #""digestKeyOnFile":"55555555-5555-4555-8555-555555555555","#,  // the key held for the peer
        #""features":["resend","tree","seed","proof","prompt-ack"],"#,  // what this side can do
        #""limits":{"batchBytes":1048576,"disks":64},"#,  // the most this side accepts
        #""peerName":"dr","#,  // a name for people
        #""product":"0.1.0","#,  // product version
        #""protocol":1,"#,  // the version the banners gave
        #""role":"source","#,  // which side of the pass
        #""wallTime":"2026-11-22T16:44:05.123Z"}"#,  // for the clock skew
      ])
  }

  @Test("keyRequest and key")
  func key() throws {
    try check(KeyRequest(), ["{}"])  // no members
    try check(
      KeyMessage(key: KeyMessage.Key(id: Fixture.key, bytes: [UInt8](repeating: 0xAB, count: 32))),
      [
        #"{"key":{"crc32c":"07c689ca","#,  // over ID and bytes
        #""hex":""#, String(repeating: "ab", count: 32), #"","#,  // the 32 bytes
        #""id":"55555555-5555-4555-8555-555555555555"}}"#,  // their ID
      ])
    try check(KeyMessage(key: nil), ["{}"])  // none on file
  }

  @Test("offer")
  func offer() throws {
    try check(
      Fixture.offer,
      [
        #"{"disks":["#,
        #"{"disk":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","#,  // index 0
        #""facts":{"entries":[{"key":"adapterType","value":"lsilogic"}]},"#,  // for the descriptor
        #""grid":{"pageSizeBytes":4096,"sizeBytes":65536},"#,  // size and page size
        #""keyID":"55555555-5555-4555-8555-555555555555","slot":"scsi0:0"},"#,  // digest key, attachment
        #"{"disk":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","#,  // index 1
        #""facts":{"entries":[]},"grid":{"pageSizeBytes":4096,"sizeBytes":32773},"#,
        #""keyID":"55555555-5555-4555-8555-555555555555","slot":"nvme0:1"}],"#,
        #""displayName":"web01","#,  // data only
        #""epoch":3,"#,  // the last one known
        #""frozenAt":"2026-11-22T16:44:05.123Z","label":"crash-consistent","#,  // the view's time and kind
        #""pass":"22222222-2222-4222-8222-222222222222","#,
        #""view":"33333333-3333-4333-8333-333333333333","#,
        #""vm":"11111111-1111-4111-8111-111111111111","#,
        #""vmxHash":""#, String(repeating: "cc", count: 32), #""}"#,  // SHA-256; no NVRAM
      ])
  }

  @Test("the offer of a seed says so; without a purpose an offer is one of a pass")
  func purpose() throws {
    let rest =
      #""vm":"11111111-1111-4111-8111-111111111111","vmxHash":""# + String(repeating: "cc", count: 32)
    let parts = [
      #"{"disks":[{"disk":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","#,  // only disks that no point holds
      #""facts":{"entries":[]},"grid":{"pageSizeBytes":4096,"sizeBytes":32773},"#,
      #""keyID":"55555555-5555-4555-8555-555555555555","slot":"nvme0:1"}],"#,
      #""displayName":"web01","epoch":3,"frozenAt":"2026-11-22T16:44:05.123Z","#,
      #""label":"crash-consistent","pass":"22222222-2222-4222-8222-222222222222","#,
      #""purpose":"seed","#,  // what the session is for
      #""view":"33333333-3333-4333-8333-333333333333","#, rest, #""}"#,
    ]
    try check(Fixture.seedOffer, parts)
    #expect(Fixture.seedOffer.purpose == .seed && Fixture.offer.purpose == .pass)
    let named = parts.joined().replacing("\"seed\"", with: "\"pass\"")
    #expect(try Offer.decode(Array(named.utf8)).purpose == .pass)
    #expect(throws: ProtocolError.self) {
      try Offer.decode(Array(parts.joined().replacing("\"seed\"", with: "\"drill\"").utf8))
    }
  }

  @Test("a seed is answered with first copies and without files, whatever a target may think")
  func answerToASeed() throws {
    var accept = Fixture.accept
    accept.disks = [Fixture.accept.disks[1]]
    accept.filesWanted = []
    try accept.validate(answering: Fixture.seedOffer)
    accept.filesWanted = [.vmx]
    #expect(throws: ProtocolError.self) { try accept.validate(answering: Fixture.seedOffer) }
    accept.filesWanted = []
    accept.disks[0].mode = .incremental
    #expect(throws: ProtocolError.self) { try accept.validate(answering: Fixture.seedOffer) }
    accept = Fixture.accept
    accept.newest?.disks = (0..<65).map { DiskID(high: 1, low: $0) }
    #expect(throws: ProtocolError.self) { try accept.encode() }
    accept.newest?.disks = nil
    #expect(try Accept.decode(accept.encode()).newest?.disks == nil, "an older target names none")
  }

  @Test("accept")
  func accept() throws {
    try check(
      Fixture.accept,
      [
        #"{"disks":[{"disk":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","effectiveRoot":""#,
        String(repeating: "dd", count: 32), #"","mode":"incremental"},"#,  // on top of the newest point
        #"{"disk":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","effectiveRoot":""#,
        String(repeating: "dd", count: 32), #"","mode":"seed"}],"#,  // first copy
        #""epoch":3,"filesWanted":["vmx"],"journalBudgetBytes":1073741824,"#,
        #""newest":{"disks":["aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"],"#,  // what the newest point holds
        #""frozenAt":"2026-11-22T16:44:05.123Z","pass":"66666666-6666-4666-8666-666666666666","#,
        #""reference":{"epoch":3,"number":7}},"#,  // the newest committed point
        #""receiver":"44444444-4444-4444-8444-444444444444","#,
        #""standbyKnown":true,"windowBytes":16777216}"#,
      ])
  }

  @Test("nodesRequest, leavesRequest, ack and resend")
  func small() throws {
    try check(
      NodesRequest(disk: 1, level: 2, first: 3, count: 4),
      [#"{"count":4,"disk":1,"first":3,"level":2}"#])
    try check(LeavesRequest(disk: 1, first: 3, count: 4), [#"{"count":4,"disk":1,"first":3}"#])
    try check(Ack(sequence: .max), [#"{"sequence":18446744073709551615}"#])
    try check(
      Ack(sequence: 1, busyMilliseconds: 1500),
      [#"{"busyMilliseconds":1500,"#, #""sequence":1}"#])  // how long the target worked
    #expect(throws: ProtocolError.self) {
      try Ack.decode(Array(#"{"busyMilliseconds":-1,"sequence":1}"#.utf8))
    }
    try check(
      Fixture.resend, [#"{"disk":0,"pages":[{"count":2,"first":1},{"count":1,"first":9}]}"#])
  }

  @Test("commit")
  func commit() throws {
    try check(
      Fixture.commit,
      [
        #"{"batches":2,"disks":["#,  // batch frames on this connection
        #"{"dataPages":5,"disk":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","root":""#,
        String(repeating: "cc", count: 32), #"","zeroPages":2},"#,
        #"{"dataPages":0,"disk":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","root":""#,
        String(repeating: "dd", count: 32), #"","zeroPages":0}],"#,
        #""resendsAnswered":0}"#,
      ])
  }

  @Test("committed and settled")
  func committed() throws {
    let disk = #""grid":{"pageSizeBytes":4096,"sizeBytes":"#
    let keyID = #""keyID":"55555555-5555-4555-8555-555555555555","root":""#
    try check(
      Fixture.committed,
      [
        #"{"point":{"committedAt":"2026-11-22T16:44:05.123Z","disks":["#,
        #"{"disk":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","#, disk, "65536},", keyID,
        String(repeating: "cc", count: 32), #"","slot":"scsi0:0"},"#,
        #"{"disk":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","#, disk, "32773},", keyID,
        String(repeating: "dd", count: 32), #"","slot":"nvme0:1"}],"#,
        #""frozenAt":"2026-11-22T16:44:05.123Z","label":"crash-consistent","#,
        #""pass":"22222222-2222-4222-8222-222222222222","#,
        #""receiver":"44444444-4444-4444-8444-444444444444","#,
        #""reference":{"epoch":3,"number":8},"#,
        #""vm":"11111111-1111-4111-8111-111111111111"}}"#,
      ])
    try check(
      Settled(reference: PointReference(epoch: Epoch(3), number: 8)),
      [#"{"reference":{"epoch":3,"number":8}}"#])
  }

  @Test("error and goodbye")
  func ending() throws {
    try check(
      ErrorMessage(.busySettling, text: "pass 7 is settling", retryAfterSeconds: 5),
      [#"{"number":26,"retryAfterSeconds":5,"text":"pass 7 is settling"}"#])
    try check(ErrorMessage(.fenced, text: "promoted"), [#"{"number":22,"text":"promoted"}"#])
    try check(Goodbye(reason: "done"), [#"{"reason":"done"}"#])
    try check(Goodbye(), ["{}"])
  }

  @Test("a nodes answer has the layout of the page, and a file its one byte of kind")
  func binary() throws {
    let request = NodesRequest(disk: 3, level: 2, first: 0x0102, count: 1)
    let golden: [UInt8] =
      [
        0x03, 0x00,  // disk 3
        0x02,  // level 2
        0x00,  // reserved
        0x02, 0x01, 0, 0, 0, 0, 0, 0,  // first node
        0x01, 0x00, 0x00, 0x00,  // count
      ] + [UInt8](repeating: 0xCC, count: 32)  // the hash
    #expect(try TreeAnswer.encode(nodes: [Fixture.hash], answering: request) == golden)
    #expect(
      TreeAnswer(answering: LeavesRequest(disk: 1, first: 5, count: 2)).encodeHeader() == [
        0x01, 0x00,  // disk 1
        0x00,  // level: leaves
        0x00,  // reserved
        0x05, 0, 0, 0, 0, 0, 0, 0,  // first leaf
        0x02, 0x00, 0x00, 0x00,  // count
      ])
    #expect(FileMessage.encodePrefix(.vmx) == [1])
    #expect(FileMessage.encodePrefix(.nvram) == [2])
  }
}
