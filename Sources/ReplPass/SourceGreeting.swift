import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol

/// The sender's first words: hello, and the digest key that both sides must share.
struct SourceGreeting {
  let conversation: Conversation
  let state: SourceState
  let settings: SourceSettings
  let time: any TimeSource

  func run() throws(PassError) -> (Agreement, DigestKey) {
    let hello = Hello(
      product: settings.productVersion, protocolVersion: conversation.connection.protocolVersion,
      role: .source,
      digestKeyOnFile: state.digestKey?.id, wallTime: time.wallTime())
    try conversation.send(hello)
    let answer = try conversation.expect(Hello.self, seconds: ProtocolTimeouts.handshakeSeconds)
    let agreement: Agreement
    do throws(ProtocolError) {
      agreement = try Agreement(local: hello, remote: answer, now: time.wallTime())
    } catch { throw .wire(error) }
    conversation.agree(on: agreement.features)
    conversation.connection.startHeartbeats(everySeconds: ProtocolTimeouts.heartbeatSeconds)
    return (agreement, try agreeOnKey(onFile: answer.digestKeyOnFile))
  }

  /// A sender that lost its key gets it back from its receiver; one that never had any makes one. The
  /// receiver is given the key when it holds none or another one.
  private func agreeOnKey(onFile: KeyID?) throws(PassError) -> DigestKey {
    var key = state.digestKey
    if key == nil, onFile != nil {
      try conversation.send(KeyRequest())
      let seconds = ProtocolTimeouts.seconds(in: .keyWanted) ?? ProtocolTimeouts.idleSeconds
      if let held = try conversation.expect(KeyMessage.self, seconds: seconds).key {
        key = DigestKey(id: held.id, bytes: held.bytes)
      }
    }
    if key == nil {
      do throws(DigestError) { key = try DigestKey.generate() } catch { throw .digest(error) }
    }
    guard let key else { throw .stopping }
    if state.digestKey != key { try state.keep(key) }
    if key.id != onFile { try conversation.send(KeyMessage(key: .init(id: key.id, bytes: key.bytes))) }
    return key
  }
}
