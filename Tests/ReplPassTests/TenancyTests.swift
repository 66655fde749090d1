import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import ReplTransport
import Testing

@testable import ReplPass

/// A sender that the receiver knows tries to reach what belongs to another one.
@Suite(.serialized) struct TenancyTests {
  private static let content = [UInt8](repeating: 7, count: 64 << 10)
  private static let vmx = Array("displayName = \"mine\"\n".utf8)

  /// A conversation after the hellos, in which `key` was given to the receiver.
  private func greet(_ pair: Pair, asOther: Bool, key: DigestKey?) throws -> (FrameConnection, Conversation) {
    let connection = try pair.connect(asOther: asOther)
    let conversation = Conversation(connection, role: .source)
    let hello = Hello(
      product: "0.1.0", protocolVersion: connection.protocolVersion, role: .source, digestKeyOnFile: nil,
      wallTime: SystemTime().wallTime())
    try conversation.send(hello)
    let answer = try conversation.expect(Hello.self, seconds: 5)
    conversation.agree(
      on: try Agreement(local: hello, remote: answer, now: SystemTime().wallTime()).features)
    if let key { try conversation.send(KeyMessage(key: .init(id: key.id, bytes: key.bytes))) }
    return (connection, conversation)
  }

  private func offer(
    _ purpose: Offer.Purpose = .pass, vm: VMID = Pair.vm, pass: PassID = .random(), epoch: Epoch? = nil,
    disk: DiskID = Pair.disks[0], key: KeyID
  ) -> Offer {
    let disk = Offer.Disk(
      disk: disk, slot: DiskSlot("scsi0:0")!, grid: PageGrid(sizeBytes: 64 << 10, pageSizeBytes: 4096)!,
      keyID: key, facts: DiskFacts(entries: []))
    return Offer(
      purpose: purpose, vm: vm, displayName: "mine", pass: pass, view: .random(),
      frozenAt: SystemTime().wallTime(), label: .crashConsistent, epoch: epoch, disks: [disk],
      vmxHash: SHA256Hasher.hash(Self.vmx), nvramHash: nil)
  }

  /// What the receiver says to an offer.
  private func answer(
    _ pair: Pair, asOther: Bool, key: DigestKey?, _ offer: Offer
  ) throws -> Result<Accept, PassError> {
    let (connection, conversation) = try greet(pair, asOther: asOther, key: key)
    defer { connection.close() }
    return Result { () throws(PassError) in try conversation.offer(offer) }
  }

  private func refusal(_ answer: Result<Accept, PassError>) -> (number: UInt16, text: String)? {
    guard case .failure(.wire(.peer(let number, let text, _))) = answer else { return nil }
    return (number, text)
  }

  @Test("a peer that offers another one's VM learns neither whose it is nor anything of its points")
  func foreignVM() throws {
    let pair = try Pair()
    defer { pair.end() }
    let point = try pair.pass([Self.content, Self.content]).point
    let primaryKey = try #require(try SourceState(root: pair.sender.disk("state")).digestKey)
    let own = try DigestKey.generate()
    let offers = [
      offer(key: own.id), offer(pass: point.pass, epoch: point.reference.epoch, key: own.id),
      offer(epoch: Epoch(9), key: own.id), offer(.seed, disk: DiskID(high: 0xD, low: 9), key: own.id),
      offer(pass: point.pass, epoch: point.reference.epoch, key: primaryKey.id),
    ]
    // Known from the pass, known from the start, and not known before the offer.
    for (round, offers) in [offers, offers, Array(offers.prefix(1))].enumerated() {
      if round == 1 { try pair.startReceiver() }
      for offer in offers {
        let refused = try #require(refusal(try answer(pair, asOther: true, key: own, offer)))
        #expect(refused.number == ErrorNumber.notYours.rawValue, "\(refused)")
        for secret in ["primary", "web01", "\(point.reference)", "\(point.pass)"] {
          #expect(!refused.text.contains(secret), "\(secret) in \(refused.text)")
        }
      }
    }
    let standby = try #require(try pair.standby())
    #expect(standby.images.first == Self.content && standby.catalog.owner == "primary")
    _ = try pair.pass([Self.content, [UInt8](repeating: 8, count: 64 << 10)])
  }

  @Test("a peer's pages are digested with its own key only, whatever key its offer names")
  func foreignKey() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass([Self.content])
    let primaryKey = try #require(try SourceState(root: pair.sender.disk("state")).digestKey)
    let own = try DigestKey.generate()
    let mine = VMID(high: 9, low: 9)
    let refused = refusal(
      try answer(
        pair, asOther: true, key: own,
        offer(vm: mine, disk: DiskID(high: 9, low: 1), key: primaryKey.id)))
    #expect(refused?.number == ErrorNumber.keyMissing.rawValue)
    #expect(try pair.store().standbys().count == 1, "nothing was made for it")

    // Its own key under the other's name, which would take that one's place in the store.
    let forged = try #require(DigestKey(id: primaryKey.id, bytes: own.bytes))
    let second = refusal(
      try answer(
        pair, asOther: true, key: forged,
        offer(vm: mine, disk: DiskID(high: 9, low: 1), key: primaryKey.id)))
    #expect(second?.number == ErrorNumber.keyMissing.rawValue)
    #expect(try pair.store().key(primaryKey.id) == primaryKey)
    try pair.startReceiver()
    _ = try pair.pass([[UInt8](repeating: 8, count: 64 << 10)])
  }

  @Test("a peer gets back its own digest key and no other one")
  func keys() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass([Self.content])
    let (connection, conversation) = try greet(pair, asOther: true, key: nil)
    defer { connection.close() }
    try conversation.send(KeyRequest())
    #expect(try conversation.expect(KeyMessage.self, seconds: 5).key == nil)
  }

  @Test("no tree, no batch and no commit is answered before an own VM was offered and accepted")
  func noOffer() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass([Self.content])
    let claim = Commit.Disk(disk: Pair.disks[0], root: .zero, dataPages: 0, zeroPages: 0)
    let messages: [@Sendable (FrameConnection) throws -> Void] = [
      { try $0.send(.nodesRequest, bytes: NodesRequest(disk: 0, level: 1, first: 0, count: 1).encode()) },
      { try $0.send(.leavesRequest, bytes: LeavesRequest(disk: 0, first: 0, count: 1).encode()) },
      { try $0.send(.batch, bytes: [UInt8](repeating: 0, count: 64)) },
      { try $0.send(.commit, bytes: Commit(disks: [claim], batches: 0, resendsAnswered: 0).encode()) },
    ]
    for (index, send) in messages.enumerated() {
      let (connection, conversation) = try greet(pair, asOther: true, key: nil)
      defer { connection.close() }
      try send(connection)
      let error = #expect(throws: PassError.self) {
        while true { _ = try conversation.receive(deadline: Deadline(seconds: 5)) }
      }
      guard case .wire(.peer(let number, _, _)) = error else {
        Issue.record("message \(index): \(String(describing: error))")
        continue
      }
      #expect(number == ErrorNumber.wrongState.rawValue, "message \(index)")
    }
  }

  @Test("a peer has no more standbys than limits.vms_per_peer, and the text names the limit")
  func vmLimit() throws {
    let pair = try Pair()
    defer { pair.end() }
    pair.set(limits: TargetLimits(vmsPerPeer: 1))
    try pair.startReceiver()
    _ = try pair.pass([Self.content])
    let key = try #require(try SourceState(root: pair.sender.disk("state")).digestKey)
    let another = offer(vm: VMID(high: 9, low: 9), disk: DiskID(high: 9, low: 1), key: key.id)
    let refused = try #require(refusal(try answer(pair, asOther: false, key: nil, another)))
    #expect(refused.number == ErrorNumber.limit.rawValue && refused.text.contains("limits.vms_per_peer"))
    let own = try DigestKey.generate()
    let others = offer(vm: VMID(high: 9, low: 8), disk: DiskID(high: 9, low: 2), key: own.id)
    let accepted = try answer(pair, asOther: true, key: own, others)
    #expect(throws: Never.self, "the other peer has its own") { _ = try accepted.get() }
    // The one that is there goes on.
    _ = try pair.pass([[UInt8](repeating: 8, count: 64 << 10)])
  }

  @Test("a second session of a VM is refused while the first one lives, and has its turn after it")
  func secondSession() throws {
    let pair = try Pair()
    defer { pair.end() }
    pair.set(leaseWaits: LeaseTable.Waits(shortSeconds: 2))
    try pair.startReceiver()
    let point = try pair.pass([Self.content]).point
    let key = try #require(try SourceState(root: pair.sender.disk("state")).digestKey)
    let (connection, conversation) = try greet(pair, asOther: false, key: nil)
    _ = try conversation.offer(offer(epoch: point.reference.epoch, key: key.id))
    try connection.startHeartbeats(everySeconds: 1)
    let second = offer(epoch: point.reference.epoch, key: key.id)
    let refused = try #require(refusal(try answer(pair, asOther: false, key: nil, second)))
    #expect(refused.number == ErrorNumber.leaseHeld.rawValue, "\(refused)")
    for part in ["peer primary", "127.0.0.1:", "since 20"] {
      #expect(refused.text.contains(part), "\(part) in \(refused.text)")
    }
    connection.interrupt()
    _ = try pair.pass([[UInt8](repeating: 8, count: 64 << 10)])
  }
}
