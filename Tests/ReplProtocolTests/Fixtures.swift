import ReplCompression
import ReplModel
import ReplProtocol

/// Values with every byte known, used by the golden tests and as seeds of the hostile ones.
enum Fixture {
  static let vm = VMID(high: 0x1111_1111_1111_4111, low: 0x8111_1111_1111_1111)
  static let diskA = DiskID(high: 0xAAAA_AAAA_AAAA_4AAA, low: 0x8AAA_AAAA_AAAA_AAAA)
  static let diskB = DiskID(high: 0xBBBB_BBBB_BBBB_4BBB, low: 0x8BBB_BBBB_BBBB_BBBB)
  static let pass = PassID(high: 0x2222_2222_2222_4222, low: 0x8222_2222_2222_2222)
  static let view = ViewID(high: 0x3333_3333_3333_4333, low: 0x8333_3333_3333_3333)
  static let receiver = ReceiverID(high: 0x4444_4444_4444_4444, low: 0x8444_4444_4444_4444)
  static let key = KeyID(high: 0x5555_5555_5555_4555, low: 0x8555_5555_5555_5555)
  /// 2026-11-22T16:44:05.123Z
  static let time = WallTime(millisecondsSince1970: 1_795_365_845_123)
  static let hash = Hash256(bytes: [UInt8](repeating: 0xCC, count: 32))!
  static let root = Hash256(bytes: [UInt8](repeating: 0xDD, count: 32))!

  /// 16 pages; and eight pages of 4 KiB with five bytes more.
  static let gridA = PageGrid(sizeBytes: 65_536, pageSizeBytes: 4096)!
  static let gridB = PageGrid(sizeBytes: 8 * 4096 + 5, pageSizeBytes: 4096)!
  static let grids = [gridA, gridB]

  static let hello = Hello(
    product: "0.1.0", protocolVersion: 1, role: .source, peerName: "dr", digestKeyOnFile: key,
    wallTime: time)

  static func hello(_ role: SessionRole) -> Hello {
    var hello = hello
    hello.role = role
    return hello
  }

  static let offer = Offer(
    vm: vm, displayName: "web01", pass: pass, view: view, frozenAt: time, label: .crashConsistent,
    epoch: Epoch(3),
    disks: [
      Offer.Disk(
        disk: diskA, slot: DiskSlot("scsi0:0")!, grid: gridA, keyID: key,
        facts: DiskFacts(entries: [DiskFacts.Entry(key: "adapterType", value: "lsilogic")])),
      Offer.Disk(
        disk: diskB, slot: DiskSlot("nvme0:1")!, grid: gridB, keyID: key,
        facts: DiskFacts(entries: [])),
    ],
    vmxHash: hash, nvramHash: nil)

  /// The first copy of disk B, for a VM that has a point without it.
  static let seedOffer = Offer(
    purpose: .seed, vm: vm, displayName: "web01", pass: pass, view: view, frozenAt: time,
    label: .crashConsistent, epoch: Epoch(3), disks: [offer.disks[1]], vmxHash: hash, nvramHash: nil)

  static let accept = Accept(
    receiver: receiver, standbyKnown: true,
    newest: Accept.Newest(
      reference: PointReference(epoch: Epoch(3), number: 7), pass: previousPass, frozenAt: time,
      disks: [diskA]),
    epoch: Epoch(3),
    disks: [
      Accept.Disk(disk: diskA, mode: .incremental, effectiveRoot: root),
      Accept.Disk(disk: diskB, mode: .seed, effectiveRoot: root),
    ],
    filesWanted: [.vmx], journalBudgetBytes: 1 << 30, windowBytes: 1 << 24)
  static let previousPass = PassID(high: 0x6666_6666_6666_4666, low: 0x8666_6666_6666_6666)

  static let commit = Commit(
    disks: [
      Commit.Disk(disk: diskA, root: hash, dataPages: 5, zeroPages: 2),
      Commit.Disk(disk: diskB, root: root, dataPages: 0, zeroPages: 0),
    ],
    batches: 2, resendsAnswered: 0)

  static let committed = Committed(
    point: RecoveryPoint(
      receiver: receiver, vm: vm, reference: PointReference(epoch: Epoch(3), number: 8), pass: pass,
      frozenAt: time, committedAt: time, label: .crashConsistent,
      disks: [
        DiskPoint(disk: diskA, slot: DiskSlot("scsi0:0")!, grid: gridA, keyID: key, root: hash),
        DiskPoint(disk: diskB, slot: DiskSlot("nvme0:1")!, grid: gridB, keyID: key, root: root),
      ]))

  static let nodesRequest = NodesRequest(disk: 0, level: 1, first: 0, count: 1)
  static let leavesRequest = LeavesRequest(disk: 1, first: 0, count: 1)
  static let resend = Resend(
    disk: 0, pages: [Resend.Pages(first: 1, count: 2), Resend.Pages(first: 9, count: 1)])
  static let digest = PageDigest(low: 0x0706_0504_0302_0100, high: 0x0F0E_0D0C_0B0A_0908)
  static let runs = [
    PageRun(kind: .zero, firstPage: 2, pageCount: 2),
    PageRun(kind: .data, firstPage: 8, pageCount: 1),
  ]

  /// The batch of the protocol page: header, table `02 05 04 02`, then "hello".
  static func batch() throws -> [UInt8] {
    try BatchMessage.encodePrefix(
      diskIndex: 1, grid: gridB, codec: .raw, runs: runs, digest: digest, payloadLength: 5)
      + Array("hello".utf8)
  }

  /// A payload of every message type.
  static func payloads() throws -> [(type: MessageType, bytes: [UInt8])] {
    [
      (.hello, try hello.encode()), (.keyRequest, try KeyRequest().encode()),
      (
        .key,
        try KeyMessage(key: KeyMessage.Key(id: key, bytes: [UInt8](repeating: 7, count: 32)))
          .encode()
      ),
      (.offer, try offer.encode()), (.accept, try accept.encode()),
      (.nodesRequest, try nodesRequest.encode()),
      (.nodes, try TreeAnswer.encode(nodes: [hash], answering: nodesRequest)),
      (.leavesRequest, try leavesRequest.encode()),
      (
        .leaves,
        TreeAnswer(answering: leavesRequest).encodeHeader() + [UInt8](repeating: 9, count: 4096)
      ),
      (.batch, try batch()), (.file, FileMessage.encodePrefix(.nvram) + [1, 2, 3]),
      (.ack, try Ack(sequence: 42).encode()), (.resend, try resend.encode()),
      (.commit, try commit.encode()),
      (.committed, try committed.encode()),
      (.settled, try Settled(reference: committed.point.reference).encode()),
      (.heartbeat, []),
      (.error, try ErrorMessage(.fenced, text: "promoted", retryAfterSeconds: 5).encode()),
      (.goodbye, try Goodbye(reason: "done").encode()),
      (.reading, try reading.encode()), (.proof, try Proof(signedProof).encode()),
      (.statement, try Statement(signedAnswer).encode()),
    ]
  }

  /// Decodes a payload with whatever reads its type, as a session would.
  static func decode(_ type: MessageType, _ bytes: [UInt8]) throws(ProtocolError) {
    let codecs = Set(Codec.allCases)
    switch type {
    case .hello: _ = try Hello.decode(bytes)
    case .keyRequest: _ = try KeyRequest.decode(bytes)
    case .key: _ = try KeyMessage.decode(bytes)
    case .offer: _ = try Offer.decode(bytes)
    case .accept: try Accept.decode(bytes).validate(answering: offer)
    case .nodesRequest: try NodesRequest.decode(bytes).validate(disks: grids)
    case .leavesRequest: try LeavesRequest.decode(bytes).validate(disks: grids)
    case .ack: try Ack.decode(bytes).validate(after: nil, sent: 100)
    case .resend: try Resend.decode(bytes).validate(disks: grids)
    case .commit: try Commit.decode(bytes).validate(answering: offer)
    case .committed:
      let committed = try Committed.decode(bytes)
      try committed.validate(answering: offer, commit)
      try committed.validate(after: accept)
    case .settled: _ = try Settled.decode(bytes)
    case .error: _ = try ErrorMessage.decode(bytes)
    case .goodbye: _ = try Goodbye.decode(bytes)
    case .reading: _ = try Reading.decode(bytes)
    case .proof: try Proof.decode(bytes).validate(of: committed.point)
    case .statement:
      try Statement.decode(bytes).validate(of: committed.point, answering: Proof(signedProof))
    case .heartbeat:
      guard bytes.isEmpty else {
        throw .payloadLength(.heartbeat, found: bytes.count, allowed: 0...0)
      }
    case .nodes:
      _ = try raw(bytes) { (b) throws(ProtocolError) in
        try TreeAnswer.decodeNodes(b, answering: nodesRequest)
      }
    case .leaves:
      _ = try raw(bytes) { (b) throws(ProtocolError) in
        try TreeAnswer.decodeLeaves(b, answering: leavesRequest).count
      }
    case .batch:
      _ = try raw(bytes) { (b) throws(ProtocolError) in
        try BatchMessage.decode(b, disks: grids, codecs: codecs)
      }
    case .file:
      _ = try raw(bytes) { (b) throws(ProtocolError) in try FileMessage.decode(b).contents.count }
    }
  }
}

/// `withUnsafeBytes` with a typed error.
func raw<Value>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(ProtocolError) -> Value
) throws(ProtocolError) -> Value {
  let result: Result<Value, ProtocolError> = bytes.withUnsafeBytes { buffer in
    do throws(ProtocolError) { return .success(try body(buffer)) } catch { return .failure(error) }
  }
  return try result.get()
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed everywhere.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
