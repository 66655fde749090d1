import ReplModel
import Testing

@testable import ReplProtocol

@Suite("errors")
struct ProtocolErrorTests {
  @Test("a peer's text reaches nobody raw: escapes, overrides and 1 MB of it are made safe")
  func peerTextIsPrintable() throws {
    let text = #"<0>\u001b[2Jall good\n\u202eroot"# + String(repeating: "A", count: 900_000)
    let message = try ErrorMessage.decode(Array(#"{"number":22,"text":"\#(text)"}"#.utf8))
    #expect(message.text.hasPrefix("<0>?[2Jall good??root"))
    #expect(message.text.count == 1025)
    #expect(
      message.error.description.hasPrefix(
        "the peer ended the session with error 22 (fenced): <0>?[2J"))
    let reason = try Goodbye.decode(Array(#"{"reason":"a\u0007b"}"#.utf8)).reason
    #expect(reason == "a?b")
  }

  @Test("a peer's field in an error is printable and short")
  func peerFieldsArePrintable() {
    let json = Array(#"{"disks":[{"disk":"\u001b[31m"}],"displayName":"x"}"#.utf8)
    let error = #expect(throws: ProtocolError.self) { try Offer.decode(json) }
    #expect(error?.description.unicodeScalars.contains { $0.value < 0x20 } == false)
    var hello = Fixture.hello
    hello.product = "\u{1B}]0;" + String(repeating: "x", count: 5000)
    let refused = #expect(throws: ProtocolError.self) { try hello.encode() }
    #expect(refused?.description.contains("product is ?]0;xxx") == true)
    #expect((refused?.description.count ?? 1000) < 200)
  }

  @Test("the number decides what happens; an unknown number abandons the pass")
  func remedies() throws {
    #expect(ErrorMessage(.fenced, text: "").error.remedy == .stopVM)
    #expect(ErrorMessage(.busySettling, text: "").error.remedy == .retryPass)
    #expect(ErrorMessage(.wrongBase, text: "").error.remedy == .abandonPass)
    let later = try ErrorMessage.decode(Array(#"{"number":65535,"text":"later"}"#.utf8))
    #expect(later.known == nil)
    #expect(later.remedy == .abandonPass)
    #expect(later.error.remedy == .abandonPass)
    #expect(later.error.description.contains("unknown to this version"))
  }

  @Test("a wait outside its limits is cut, so that the peer's error is not lost")
  func retryAfterIsCut() throws {
    for (sent, read) in [("-5", 0), ("9223372036854775807", 86_400), ("30", 30)] {
      let json = #"{"number":8,"text":"busy","retryAfterSeconds":\#(sent)}"#
      #expect(try ErrorMessage.decode(Array(json.utf8)).retryAfterSeconds == read)
    }
  }

  static let all: [ProtocolError] = [
    .notABanner(found: "SSH-2.0"), .truncated(.header, found: 3, expected: 16),
    .truncated(.banner, found: 3, expected: 16),
    .truncated(.payload(.batch), found: 3, expected: 40),
    .unknownType(77), .reserved(field: "flags", found: 1),
    .payloadLength(.offer, found: 0, allowed: 2...9), .sequence(found: 4, expected: 3),
    .json(.offer, detail: "disks.0: bad"), .nestedTooDeep(.offer, limit: 16),
    .value(.offer, field: "disks", found: "65", expected: "1 to 64"),
    .answerMismatch(.leaves, field: "first", found: 4, expected: 3),
    .wrongState(.batch, .ready, .received, .target), .wrongState(.batch, .ready, .sending, .source),
    .featureNotAgreed(.resend, .resend), .sameRole(.source), .mandatoryFeature("warp"),
    .peer(number: 22, text: "promoted", retryAfterSeconds: nil),
    .noCommonVersion(
      sender: Banner(product: "1")!, receiver: Banner(product: "2", versions: 3...4)!),
    .batch(.foreignDisk(index: 7, disks: 2)), .batch(.unknownCodec(9)), .batch(.codecNotAgreed(2)),
    .batch(.runCount(found: 0, limit: 9)), .batch(.rawLength(found: 10, limit: 9)),
    .batch(.tableLength(found: 10, limit: 9)), .batch(.runTable(.emptyRun)),
    .batch(.dataLength(found: 10, declared: 9)),
    .batch(.payloadLength(found: 10, codec: 1, rawLength: 9)),
  ]

  @Test(
    "every error names the thing with its values, has a number and can be told to the peer",
    arguments: all)
  func everyErrorTells(error: ProtocolError) throws {
    #expect(error.description.count >= 20, "\(error)")
    #expect(!error.description.contains("Optional("))
    let told = try ErrorMessage.decode(try ErrorMessage(error).encode())
    #expect(told.known == error.number)
    #expect(told.text == error.description)
  }

  @Test("only a cut connection and a peer's transient number lead to a retry of the same pass")
  func onlyCutsRetry() {
    let retried = Self.all.filter { $0.remedy == .retryPass }
    #expect(retried.count == 3)
    for error in retried {
      guard case .truncated = error else {
        Issue.record("\(error)")
        continue
      }
    }
  }
}
