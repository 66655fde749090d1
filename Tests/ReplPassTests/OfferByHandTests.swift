import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import ReplTransport
import Testing

@testable import ReplPass

/// Offers that no sender of ours makes.
@Suite(.serialized) struct OfferByHandTests {
  private static let vmx = Array("displayName = \"web01\"\n".utf8)

  /// A conversation after the hellos, with the key of the pair's sender, else with a new one.
  private func greet(_ pair: Pair, _ connection: FrameConnection) throws -> (Conversation, DigestKey) {
    let conversation = Conversation(connection, role: .source)
    let hello = Hello(
      product: "0.1.0", protocolVersion: connection.protocolVersion, role: .source, digestKeyOnFile: nil,
      wallTime: SystemTime().wallTime())
    try conversation.send(hello)
    let answer = try conversation.expect(Hello.self, seconds: 5)
    conversation.agree(
      on: try Agreement(local: hello, remote: answer, now: SystemTime().wallTime()).features)
    if let key = try SourceState(root: pair.sender.disk("state")).digestKey { return (conversation, key) }
    let key = try DigestKey.generate()
    try conversation.send(KeyMessage(key: .init(id: key.id, bytes: key.bytes)))
    return (conversation, key)
  }

  private func offer(
    _ purpose: Offer.Purpose, disk: Int = 0, pass: PassID, epoch: Epoch, _ key: DigestKey
  ) -> Offer {
    let disk = Offer.Disk(
      disk: Pair.disks[disk], slot: DiskSlot("scsi0:\(disk)")!,
      grid: PageGrid(sizeBytes: 64 << 10, pageSizeBytes: 4096)!, keyID: key.id, facts: DiskFacts(entries: []))
    return Offer(
      purpose: purpose, vm: Pair.vm, displayName: "web01", pass: pass, view: .random(),
      frozenAt: SystemTime().wallTime(), label: .crashConsistent, epoch: epoch, disks: [disk],
      vmxHash: SHA256Hasher.hash(Self.vmx), nvramHash: nil)
  }

  /// What a receiver answers to one offer of the first disk; `pass` may be one that it knows.
  private func answer(
    _ pair: Pair, _ purpose: Offer.Purpose, pass: PassID, epoch: Epoch
  ) throws -> Result<Accept, PassError> {
    let connection = try pair.connect()
    defer { connection.close() }
    let (conversation, key) = try greet(pair, connection)
    let offer = offer(purpose, pass: pass, epoch: epoch, key)
    return Result { () throws(PassError) in try conversation.offer(offer) }
  }

  private func number(of answer: Result<Accept, PassError>) -> UInt16? {
    guard case .failure(.wire(.peer(let number, _, _))) = answer else { return nil }
    return number
  }

  @Test("a seed in the name of the newest pass is refused like any seed of a disk that the point holds")
  func seedNamedAsPass() throws {
    let pair = try Pair()
    defer { pair.end() }
    let point = try pair.pass([[UInt8](repeating: 7, count: 64 << 10)]).point
    let answer = try answer(pair, .seed, pass: point.pass, epoch: point.reference.epoch)
    #expect(number(of: answer) == ErrorNumber.notSeeding.rawValue, "\(answer)")
  }

  @Test("an offer in the name of an older pass is refused, and the points stay")
  func oldPass() throws {
    let pair = try Pair()
    defer { pair.end() }
    let image = [UInt8](repeating: 7, count: 64 << 10)
    let old = try pair.pass([image]).point
    let newest = try pair.pass([image]).point
    let answer = try answer(pair, .pass, pass: old.pass, epoch: old.reference.epoch)
    #expect(number(of: answer) == ErrorNumber.limit.rawValue, "\(answer)")
    #expect("\(answer)".contains("recovery point 1.1 already"), "\(answer)")
    #expect(try pair.store().standbys().first?.catalog?.newest?.pass == newest.pass)
    #expect(try pair.pass([image]).point.reference.number == 3)
  }

  @Test("the goodbye to a seed is answered only when everything of it is durable")
  func goodbyeIsLast() throws {
    let pair = try Pair()
    defer { pair.end() }
    let point = try pair.pass([[UInt8](repeating: 7, count: 64 << 10)]).point
    let connection = try pair.connect()
    defer { connection.close() }
    let (conversation, key) = try greet(pair, connection)
    _ = try conversation.offer(
      offer(.seed, disk: 1, pass: .random(), epoch: point.reference.epoch, key))
    let isAnswered = Monitor(false)
    let durable = Counter()
    pair.receiver.watch { moment in
      guard moment.kind == .sync, moment.path.hasSuffix("scsi0-1-flat.vmdk") else { return }
      // An answer that does not wait for this sync arrives meanwhile.
      if isAnswered.wait(seconds: 1, { $0 ? true : nil }) == nil { durable.add() }
    }
    try conversation.send(Goodbye())
    #expect(try conversation.receive().type == .goodbye)
    isAnswered.withLock { $0 = true }
    #expect(durable.value > 0)
    pair.receiver.watch(nil)
  }

  @Test(
    "a peer that makes no offer is ended after its time, whatever else it says, and gives one key at most")
  func noOffer() throws {
    let pair = try Pair()
    defer { pair.end() }
    let time = ManualTime(wall: SystemTime().wallTime())
    pair.set(time: time)
    try pair.startReceiver()
    func ending(_ say: (Conversation, DigestKey) throws -> Void) throws -> UInt16? {
      let connection = try pair.connect()
      defer { connection.close() }
      let (conversation, key) = try greet(pair, connection)
      try say(conversation, key)
      do throws(PassError) {
        _ = try conversation.receive(deadline: Deadline(seconds: 10))
        return nil
      } catch {
        guard case .wire(.peer(let number, _, _)) = error else { return nil }
        return number
      }
    }
    let overdue = try ending { conversation, _ in
      // Its answer shows that the time runs.
      try conversation.send(KeyRequest())
      _ = try conversation.expect(KeyMessage.self, seconds: 5)
      time.advance(seconds: 61)
      try conversation.connection.send(.heartbeat)
    }
    #expect(overdue == ErrorNumber.timedOut.rawValue)
    let twice = try ending { conversation, key in
      try conversation.send(KeyMessage(key: .init(id: key.id, bytes: key.bytes)))
    }
    #expect(twice == ErrorNumber.badFrame.rawValue)
  }

  @Test("nobody but its owner learns of a VM's newest point, not even by naming its pass")
  func otherOwner() throws {
    let pair = try Pair()
    defer { pair.end() }
    let key = try DigestKey.generate()
    let store = try pair.store()
    try store.rememberKey(key)
    do {
      let standby = try store.create(vm: Pair.vm, displayName: "web01", owner: "somebody else")
      let disk = PassOffer.Disk(
        disk: Pair.disks[0], slot: DiskSlot("scsi0:0")!,
        grid: PageGrid(sizeBytes: 64 << 10, pageSizeBytes: 4096)!, keyID: key.id,
        facts: DiskFacts(entries: []))
      let pass = try standby.beginPass(
        PassOffer(
          vm: Pair.vm, displayName: "web01", owner: "somebody else", pass: PassID(high: 4, low: 4),
          frozenAt: SystemTime().wallTime(), label: .crashConsistent, epoch: nil, disks: [disk],
          vmxHash: SHA256Hasher.hash(Self.vmx), nvramHash: nil))
      try pass.append(.vmx, Self.vmx)
      let root = try pass.digestView(disk: 0).root()
      _ = try pass.commit(CommitClaims(disks: [.init(root: root, dataPages: 0, zeroPages: 0)]))
      try pass.settle()
    }
    let answer = try answer(pair, .pass, pass: PassID(high: 4, low: 4), epoch: Epoch(1))
    #expect(number(of: answer) == StandbyError.notYours(vm: Pair.vm, owner: "", peer: "").number.rawValue)
  }
}
