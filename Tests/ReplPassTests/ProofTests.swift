import Glibc
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import ReplTLS
import Synchronization
import Testing

@testable import ReplPass
@testable import ReplSource

/// Proofs, with both sides over real TLS.
@Suite(.serialized) struct ProofTests {
  /// A VM with two disks, neither of whole pages.
  private struct VM {
    var disks = [
      [UInt8](repeating: 0, count: (1 << 20) + 5 * 4096 + 512), [UInt8](repeating: 0, count: 70_000),
    ]

    init() {
      for page in [0, 3, 100, 255, 256, 260] { fill(0, page, UInt64(page + 1)) }
      for page in 0..<17 { fill(1, page, UInt64(page + 1000)) }
    }

    mutating func fill(_ disk: Int, _ page: Int, _ seed: UInt64) {
      let end = min((page + 1) * 4096, disks[disk].count)
      let bytes = PageMaker.random(byteCount: 4096, seed: seed)
      disks[disk].replaceSubrange((page * 4096)..<end, with: bytes[0..<(end - page * 4096)])
    }

    var plain: [MemoryDisk] { disks.map { MemoryDisk($0) } }
  }

  private func statement(_ report: SourcePass.Report) throws -> ProofStatement {
    switch try #require(report.proof) {
    case .statement(let statement, _): return statement
    case .failed(let error): throw error
    }
  }

  private func failure(_ report: SourcePass.Report) throws -> PassError {
    guard case .failed(let error)? = report.proof else {
      throw ProofError.untrue("no failure: \(String(describing: report.proof))")
    }
    return error
  }

  @Test("a good proof: identical, plain hashes of the bytes, the same signed statement at both sides")
  func good() throws {
    var vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    vm.fill(0, 100, 5000)
    let report = try pair.prove(pair.view(vm.plain))
    let statement = try statement(report)
    #expect(statement.verdict == .identical && report.proof?.verdict == .identical)
    for (disk, bytes) in zip(statement.target.claim.disks, vm.disks) {
      #expect(disk.sha256 == SHA256Hasher.hash(bytes) && disk.verdict == .identical)
    }
    #expect(statement.source.claim.disks.map(\.root) == report.point.disks.map { $0.root })
    #expect(statement.target.claim.point == report.point.reference)
    let (ours, theirs) = (try pair.statements(pair.sender), try pair.statements(pair.receiver))
    #expect(ours.count == 1 && ours == theirs)
    #expect(try ProofStatement.decode(ours[0], path: "statement") == statement)
    #expect(try pair.catalog?.kept.last?.verifiedAt != nil)
    #expect(try pair.catalog?.suspicion == nil)
  }

  @Test("a pass without the wish ends as ever, and nobody reads anything again")
  func unasked() throws {
    let pair = try Pair()
    defer { pair.end() }
    #expect(try pair.prove(pair.view(VM().plain), wantsProof: false).proof == nil)
    #expect(try pair.statements(pair.sender).isEmpty && pair.statements(pair.receiver).isEmpty)
  }

  @Test("one flipped bit that no map knows of is found, has a place, and makes the standby suspect")
  func flippedBit() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let place = Int64(256 * 4096 + 77)
    try pair.flip(Pair.disks[0], at: place)
    let bad = try statement(try pair.prove(pair.view(vm.plain)))
    #expect(bad.verdict == .differing)
    #expect(bad.target.claim.disks.map(\.verdict) == [.differing, .identical])
    #expect(bad.target.claim.disks[0].differing == .init(pages: 1, offsetsBytes: [256 * 4096]))
    #expect(bad.source.claim.disks[0].differing == nil)
    #expect(bad.target.claim.disks[0].sha256 != SHA256Hasher.hash(vm.disks[0]))
    #expect(bad.source.claim.disks[0].sha256 == SHA256Hasher.hash(vm.disks[0]))
    #expect(ProofSentence.text(bad, path: "p").contains("at byte \(256 * 4096)"))
    let suspicion = try #require(try pair.catalog?.suspicion)
    #expect(suspicion.disk == Pair.disks[0] && suspicion.pageCount == 1)
    #expect(try pair.catalog?.kept.last?.verifiedAt == nil)
    // The same bit again: proven, and nothing is held against the standby any more.
    try pair.flip(Pair.disks[0], at: place)
    #expect(try statement(try pair.prove(pair.view(vm.plain))).verdict == .identical)
    #expect(try pair.catalog?.suspicion == nil && pair.catalog?.kept.last?.verifiedAt != nil)
  }

  @Test("a source that lies about its holes cannot make a proof green: the page is named")
  func lyingHint() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    let hidden = Int64(256 * 4096)..<Int64((1 << 20) + 5 * 4096 + 512)
    let report = try pair.prove(
      pair.view(of: [TrickyDisk(vm.disks[0], hiding: hidden, isCached: true), MemoryDisk(vm.disks[1])]))
    let statement = try statement(report)
    #expect(statement.verdict == .differing)
    let claim = statement.source.claim.disks[0]
    let places: [Int64] = [256, 260].map { $0 * 4096 }
    #expect(claim.differing?.offsetsBytes == places)
    #expect(claim.root != report.point.disks[0].root)
    #expect(statement.target.claim.disks[0].root == report.point.disks[0].root)
    #expect(try pair.catalog?.suspicion != nil)
  }

  /// Replaces the digest of a page in the sender's map by that of other content.
  private func forgeMap(_ pair: Pair, from old: [UInt8], to new: [UInt8]) throws {
    let state = pair.sender.disk("state")
    let digester = try PageDigester(key: try #require(try SourceState(root: state).digestKey))
    func digest(_ page: [UInt8]) throws -> [UInt8] {
      var digests = [PageDigest.zero]
      try page.withUnsafeBytes { raw in
        try digests.withUnsafeMutableBufferPointer {
          try digester.digest(pages: raw, pageSizeBytes: 4096, into: $0)
        }
      }
      return withUnsafeBytes(of: digests[0].low.littleEndian) { Array($0) }
        + withUnsafeBytes(of: digests[0].high.littleEndian) { Array($0) }
    }
    let (before, after) = (try digest(old), try digest(new))
    let maps = try state.openDirectory("maps").openDirectory("\(ReceiverID(high: 7, low: 7))")
      .openDirectory("\(Pair.vm)")
    let name = "\(Pair.disks[0]).map"
    let file = try maps.openFile(name, .readWrite)
    let bytes = try maps.readFile(name, limitBytes: 16 << 20)
    let place = try #require(
      (0...(bytes.count - 16)).first { bytes[$0..<($0 + 16)].elementsEqual(before) })
    try after.withUnsafeBytes { try file.write($0, at: Int64(place)) }
    try file.sync()
  }

  @Test("a damaged digest map at the sender hides a change from the pass, and not from the proof")
  func damagedMap() throws {
    var vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let old = Array(vm.disks[0][(3 * 4096)..<(4 * 4096)])
    vm.fill(0, 3, 7777)
    try forgeMap(pair, from: old, to: Array(vm.disks[0][(3 * 4096)..<(4 * 4096)]))
    let report = try pair.prove(pair.view(vm.plain))
    #expect(report.pass.changedBytes == 0, "the forged map does not hide the change")
    let statement = try statement(report)
    #expect(statement.verdict == .differing)
    #expect(statement.source.claim.disks[0].sha256 == SHA256Hasher.hash(vm.disks[0]))
    #expect(try pair.catalog?.suspicion?.disk == Pair.disks[0])
  }

  @Test("a block that cannot be read proves nothing: inconclusive, with its place; the other disk is told of")
  func unreadable() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    let disk = TrickyDisk(vm.disks[0], brokenAt: 100 * 4096 + 5)
    let report = try pair.prove(pair.view(of: [disk, MemoryDisk(vm.disks[1])]))
    let statement = try statement(report)
    #expect(statement.verdict == .inconclusive && statement.hasUnreadable)
    #expect(statement.target.claim.disks.map(\.verdict) == [.inconclusive, .identical])
    let unreadable = try #require(statement.source.claim.disks[0].unreadable)
    #expect(unreadable.offsetBytes == 100 * 4096 && unreadable.systemCode == EIO)
    #expect(try pair.catalog?.suspicion == nil && pair.catalog?.kept.last?.verifiedAt == nil)
    #expect(try pair.statements(pair.sender) == pair.statements(pair.receiver))
  }

  @Test("a request at the receiver is carried out by the next pass, once, and answered")
  func requested() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let (store, summary) = (try pair.store(), try pair.store().standbys()[0])
    let request = try store.requestProof(of: summary)
    #expect(try store.requestProof(of: summary) == request, "asking twice is asking once")
    #expect(try store.proofAnswer(to: request, of: summary) == nil)
    let report = try pair.prove(pair.view(vm.plain), wantsProof: false)
    #expect(try statement(report).verdict == .identical)
    let answer = try #require(try store.proofAnswer(to: request, of: summary))
    #expect(answer.isDone && answer.verdict == .identical && answer.statementPath != nil)
    #expect(answer.doneBytes == answer.totalBytes && answer.doneBytes > 0)
    #expect(try pair.prove(pair.view(vm.plain), wantsProof: false).proof == nil)
    #expect(try store.requestProof(of: summary) != request)
  }

  @Test(
    "a receiver of an older version is refused by the sender that wants a proof, before anything is offered")
  func oldReceiver() throws {
    let pair = try Pair()
    defer { pair.end() }
    try pair.startReceiver(features: [.resend, .tree, .seed])
    let error = #expect(throws: PassError.self) { try pair.prove(pair.view(VM().plain)) }
    guard case .proof(.notSpoken("receiver"))? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect("\(error!)".contains("upgrade"))
    #expect(try pair.catalog == nil, "nothing was offered")
    #expect(try pair.prove(pair.view(VM().plain), wantsProof: false).proof == nil)
  }

  @Test("a connection that is cut while disks are read costs the proof and not the point")
  func cut() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    let committed = Mutex(0)
    let report = try pair.prove(pair.view(vm.plain)) { _ in
      committed.withLock { $0 += 1 }
      pair.cutConnections()
    }
    #expect(committed.withLock { $0 } == 1)
    guard case .transport = try failure(report) else {
      Issue.record("\(try failure(report))")
      return
    }
    #expect(report.proof?.verdict == .inconclusive)
    #expect(try pair.catalog?.newest?.reference == report.point.reference)
    #expect(try pair.catalog?.suspicion == nil)
    #expect(try statement(try pair.prove(pair.view(vm.plain))).verdict == .identical)
  }

  @Test("a daemon that ends does not wait for a proof")
  func stopping() throws {
    let pair = try Pair()
    defer { pair.end() }
    let stop = StopSignal()
    let report = try pair.prove(pair.view(VM().plain), stop: stop, onCommitted: { _ in stop.set() })
    guard case .stopping = try failure(report) else {
      Issue.record("\(try failure(report))")
      return
    }
    #expect(try pair.statements(pair.receiver).isEmpty)
  }

  @Test("whoever asked at the receiver learns that the source runs while it is read")
  func fuzzy() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let (store, summary) = (try pair.store(), try pair.store().standbys()[0])
    let request = try store.requestProof(of: summary)
    let still = pair.view(vm.plain)
    let view = VMView(
      vm: still.vm, displayName: still.displayName, frozenAt: still.frozenAt, label: .fuzzy,
      disks: still.disks,
      vmx: still.vmx, nvram: nil, stillness: Stillness(vmxPath: "/nowhere", files: []))
    guard case .proof(.fuzzyView) = try failure(try pair.prove(view, wantsProof: false)) else {
      Issue.record("a fuzzy view was proven")
      return
    }
    let deadline = Deadline(seconds: 10)
    while try store.proofAnswer(to: request, of: summary) == nil, !deadline.hasPassed { usleep(5000) }
    let answer = try #require(try store.proofAnswer(to: request, of: summary))
    #expect(answer.verdict == .inconclusive && answer.detail?.contains("fuzzy view") == true)
  }

  @Test("a sender of an older version brings its pass as ever, and whoever asked for a proof is told")
  func oldSender() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    let point = try pair.pass(vm.disks).point
    let (store, summary) = (try pair.store(), try pair.store().standbys()[0])
    let request = try store.requestProof(of: summary)
    let connection = try pair.connect()
    defer { connection.close() }
    let conversation = Conversation(connection, role: .source)
    let key = try #require(try SourceState(root: pair.sender.disk("state")).digestKey)
    let hello = Hello(
      product: "0.1.0", protocolVersion: connection.protocolVersion, role: .source,
      features: ["resend", "tree", "seed"], digestKeyOnFile: key.id, wallTime: SystemTime().wallTime())
    try conversation.send(hello)
    let answer = try conversation.expect(Hello.self, seconds: 5)
    conversation.agree(
      on: try Agreement(local: hello, remote: answer, now: SystemTime().wallTime()).features)
    let disks = point.disks.map {
      Offer.Disk(disk: $0.disk, slot: $0.slot, grid: $0.grid, keyID: key.id, facts: DiskFacts(entries: []))
    }
    let offer = Offer(
      vm: Pair.vm, displayName: "web01", pass: .random(), view: .random(), frozenAt: point.frozenAt,
      label: .crashConsistent, epoch: point.reference.epoch, disks: disks,
      vmxHash: SHA256Hasher.hash([1]), nvramHash: nil)
    #expect(try conversation.offer(offer).wantsProof == nil)
    let told = try #require(try store.proofAnswer(to: request, of: summary))
    #expect(told.isDone && told.verdict == .inconclusive)
    #expect(told.detail?.contains("the sender is of a version without proofs") == true)
  }

  @Test("a failover does not wait for a proof, and whoever asked for it learns why there is none")
  func failover() throws {
    let vm = VM()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let (store, summary) = (try pair.store(), try pair.store().standbys()[0])
    let request = try store.requestProof(of: summary)
    let reads = Mutex(0)
    let failover = Mutex<FailoverRequest?>(nil)
    let slow = MemoryDisk(vm.disks[0]) { offset in
      guard offset == 0 else { return }
      let number = reads.withLock { reads in
        reads += 1
        return reads
      }
      guard number == 2 else { return }
      // The proof reads: it takes until the failover has got its way.
      let asked = try? store.requestFailover(vm: Pair.vm)
      failover.withLock { $0 = asked }
      let deadline = Deadline(seconds: 20)
      while !deadline.hasPassed, (try? store.proofAnswer(to: request, of: summary))??.isDone != true {
        usleep(5000)
      }
    }
    let report = try pair.prove(pair.view([slow, MemoryDisk(vm.disks[1])]), wantsProof: false)
    #expect(failover.withLock { $0 } != nil)
    _ = try failure(report)
    let told = try #require(try store.proofAnswer(to: request, of: summary))
    #expect(
      told.isDone && told.verdict == .inconclusive && told.detail?.contains("failover") == true, "\(told)")
  }
}
