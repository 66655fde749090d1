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
    settings.onClockSkew?(agreement.clockSkewSeconds)
    try conversation.startHeartbeats()
    return (agreement, try agreeOnKey(onFile: answer.digestKeyOnFile))
  }

  /// A sender that lost its key gets it back from its receiver; one that never had any makes one. The
  /// receiver is given the key when it holds none or another one.
  private func agreeOnKey(onFile: KeyID?) throws(PassError) -> DigestKey {
    let key = try state.digestKey { () throws(PassError) in
      if let onFile { return try askForKey(onFile) }
      do throws(DigestError) { return try DigestKey.generate() } catch { throw .digest(error) }
    }
    if key.id != onFile { try conversation.send(KeyMessage(key: .init(id: key.id, bytes: key.bytes))) }
    return key
  }

  /// A receiver that does not answer with the key that it named a moment ago is not well: with a new key all
  /// that it holds would have to be read again.
  private func askForKey(_ onFile: KeyID) throws(PassError) -> DigestKey {
    try conversation.send(KeyRequest())
    let seconds = ProtocolTimeouts.seconds(in: .keyWanted) ?? ProtocolTimeouts.idleSeconds
    let held = try conversation.expect(KeyMessage.self, seconds: seconds).key
    guard let held, held.id == onFile, let key = DigestKey(id: held.id, bytes: held.bytes) else {
      throw .wire(
        .value(
          .key, field: "key", found: held.map { "\($0.id)" } ?? "none",
          expected: "\(onFile), which the hello named"))
    }
    return key
  }
}
