import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTransport

/// One connection at the receiver: greets, answers one offer, takes the pass, commits and settles. Blocks;
/// runs on the connection's thread. Nothing of a standby is opened before the peer is known and its offer was
/// checked.
final class TargetSession {
  let service: TargetService
  let conversation: Conversation
  let peer: String
  /// For the log, once an offer has named it.
  private(set) var vmName: String?
  private var agreement: Agreement?

  init(service: TargetService, connection: FrameConnection) {
    self.service = service
    conversation = Conversation(connection, role: .target)
    peer = connection.peer.name
  }

  /// Ends when the peer says goodbye; everything else is thrown.
  func run() throws(PassError) {
    try greet()
    // Whatever is said meanwhile: a key that is kept is a file that is written.
    let deadline = Deadline(
      seconds: ProtocolTimeouts.seconds(in: .ready) ?? ProtocolTimeouts.idleSeconds, time: service.time)
    var said: Set<MessageType> = []
    while true {
      let frame = try conversation.receive(deadline: deadline)
      guard said.insert(frame.type).inserted else {
        throw .wire(
          .value(frame.type, field: "\(frame.type)", found: "another one", expected: "one on a connection"))
      }
      switch frame.type {
      case .keyRequest: try giveKey(frame)
      case .key: try takeKey(frame)
      case .offer:
        let offer = try conversation.decode(Offer.self, frame)
        vmName = SafeText.printable(offer.displayName)
        try answer(offer)
        return
      case .goodbye: return
      default: throw conversation.unexpected(frame.type)
      }
    }
  }

  private func greet() throws(PassError) {
    let hello = try conversation.expect(Hello.self, seconds: ProtocolTimeouts.handshakeSeconds)
    let answer = Hello(
      product: service.settings.productVersion, protocolVersion: conversation.connection.protocolVersion,
      role: .target, features: service.features.map(\.rawValue),
      digestKeyOnFile: try service.keys.key(of: peer)?.id, wallTime: service.time.wallTime())
    try conversation.send(answer)
    do throws(ProtocolError) {
      let agreement = try Agreement(local: answer, remote: hello, now: service.time.wallTime())
      conversation.agree(on: agreement.features)
      self.agreement = agreement
      service.note(clockSkewSeconds: agreement.clockSkewSeconds, peer: peer)
    } catch { throw .wire(error) }
    try conversation.startHeartbeats()
  }

  private func answer(_ offer: Offer) throws(PassError) {
    guard let agreement else { throw conversation.unexpected(.offer) }
    guard offer.disks.count <= agreement.disks else {
      throw .wire(
        .value(.offer, field: "disks", found: "\(offer.disks.count)", expected: "\(agreement.disks) at most"))
    }
    if offer.purpose == .seed { try conversation.beginSeed() }
    try service.refuseForeign(offer.vm, peer: peer)
    try service.refuseForeignKeys(offer, peer: peer)
    // From here to the end of the session nobody else opens this VM's standby.
    let lease = try service.leases.take(offer.vm, for: claim(offer))
    defer { lease.end() }
    let place = try service.queue.enter(peer) { [conversation] in
      lease.isRevoked || conversation.ending.isStopping
    }
    defer { service.queue.leave(place) }
    lease.enter(.opening)
    try work(on: offer, lease, agreement)
  }

  /// The standby is closed when this returns, and not before: the lease ends after it.
  private func work(on offer: Offer, _ lease: Lease, _ agreement: Agreement) throws(PassError) {
    guard let (store, standby) = try service.take(offer, peer: peer) else {
      throw .notSeeding(offer.vm, detail: "it has no standby here")
    }
    try service.keys.share(keyOf: peer, with: store)
    try TargetPass(
      session: self, standby: standby, offer: offer, agreement: agreement, lease: lease
    ).run()
  }

  private func claim(_ offer: Offer) -> Lease.Claim {
    let connection = conversation.connection
    return Lease.Claim(
      holder: Lease.Holder(
        peer: peer, address: connection.peerAddress, pass: offer.pass, since: service.time.wallTime(),
        phase: .waiting),
      silentSeconds: { connection.silentSeconds }, interrupt: { connection.interrupt() })
  }

  private func giveKey(_ frame: Frame) throws(PassError) {
    _ = try conversation.decode(KeyRequest.self, frame)
    let key = try service.keys.key(of: peer)
    try conversation.send(KeyMessage(key: key.map { .init(id: $0.id, bytes: $0.bytes) }))
  }

  private func takeKey(_ frame: Frame) throws(PassError) {
    guard let offered = try conversation.decode(KeyMessage.self, frame).key,
      let key = DigestKey(id: offered.id, bytes: offered.bytes)
    else { return }
    try service.keys.keep(key, of: peer)
  }
}
