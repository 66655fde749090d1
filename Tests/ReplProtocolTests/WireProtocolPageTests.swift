import ReplCompression
import ReplModel
import Testing

@testable import ReplProtocol

@Suite("protocol page")
struct WireProtocolPageTests {
  private func frames() throws -> [FrameReader.Frame] {
    try WireProtocolPage.load().hexBlocks().map { bytes in
      let sequence = try raw(bytes) { (b) throws(ProtocolError) in
        try FrameHeader(decoding: b).sequence
      }
      var reader = FrameReader(nextSequence: sequence)
      var rest = bytes[...]
      let frame = try #require(try reader.next(from: &rest))
      #expect(rest.isEmpty)
      return frame
    }
  }

  @Test("the worked examples decode to what they claim")
  func examples() throws {
    let frames = try frames()
    #expect(frames.map(\.header.type) == [.heartbeat, .ack, .batch, .nodes, .file])
    #expect(frames.map(\.header.sequence) == [5, 3, 7, 9, 2])
    #expect(try Ack.decode(frames[1].payload) == Ack(sequence: 42))
    #expect(try frames[2].payload == Fixture.batch())
    let request = NodesRequest(disk: 0, level: 2, first: 3, count: 1)
    let nodes = try raw(frames[3].payload) { (b) throws(ProtocolError) in
      try TreeAnswer.decodeNodes(b, answering: request)
    }
    #expect(
      nodes.map(\.bytes) == [
        [UInt8](repeating: 0xAA, count: 16) + [UInt8](repeating: 0xBB, count: 16)
      ])
    let file = try raw(frames[4].payload) { (b) throws(ProtocolError) in
      let (kind, contents) = try FileMessage.decode(b)
      return (kind, String(decoding: contents, as: UTF8.self))
    }
    #expect(file == (.vmx, "a=\"1\"\n"))
  }

  @Test("the table of messages has the numbers, speakers and limits of the code")
  func messages() throws {
    let rows = try WireProtocolPage.load().table(below: "## Messages")
    #expect(rows.map { "\($0[0]) \($0[1])" } == MessageType.allCases.map { "\($0.rawValue) \($0)" })
    for (row, type) in zip(rows, MessageType.allCases) {
      let allowed = ProtocolLimits.standard.payloadLengths(of: type)
      let text =
        allowed.count == 1 ? "0" : "\(allowed.lowerBound)...\(Self.text(allowed.upperBound))"
      #expect(row[4] == text, "\(type)")
      let speakers = SessionRole.allCases.filter { role in
        SessionState.Phase.allCases.contains {
          SessionState.next(role: role, phase: $0, direction: .sending, message: type) != nil
        }
      }
      #expect(row[2] == (speakers.count == 2 ? "both" : speakers.first?.rawValue), "\(type)")
    }
  }

  private static func text(_ bytes: Int) -> String {
    switch bytes {
    case 1 << 20: "1 MiB"
    case (1 << 20) + 1: "1 MiB + 1"
    case (1 << 20) + (64 << 10): "1 MiB + 64 KiB"
    case (256 << 10) + 16: "256 KiB + 16"
    default: "\(bytes)"
    }
  }

  @Test("the table of error numbers has the numbers, names and remedies of the code")
  func errorNumbers() throws {
    let rows = try WireProtocolPage.load().table(below: "## Error numbers")
    let expected = ErrorNumber.allCases.map { [String($0.rawValue), $0.name, $0.remedy.rawValue] }
    #expect(rows.map { Array($0.prefix(3)) } == expected)
  }

  @Test("the deadlines of the page are those of the code")
  func timeouts() throws {
    let rows = try WireProtocolPage.load().table(below: "## Timeouts")
    let seconds = rows.map { Double($0[1]) ?? -1 }
    let code: [Double?] = [
      ProtocolTimeouts.handshakeSeconds, ProtocolTimeouts.heartbeatSeconds,
      ProtocolTimeouts.idleSeconds,
      ProtocolTimeouts.seconds(in: .ready), ProtocolTimeouts.seconds(in: .keyWanted),
      ProtocolTimeouts.seconds(in: .offered), ProtocolTimeouts.seconds(in: .nodesWanted),
      ProtocolTimeouts.unacknowledgedSeconds, ProtocolTimeouts.seconds(in: .committing),
      ProtocolTimeouts.seconds(in: .committed), ProtocolTimeouts.seconds(in: .settled),
      ProtocolTimeouts.readingSeconds,
      ProtocolTimeouts.seconds(in: .leaving), ProtocolTimeouts.seedGoodbyeSeconds,
    ]
    #expect(seconds == code.map { $0 ?? -2 })
    #expect(
      ProtocolTimeouts.seconds(in: .leavesWanted) == ProtocolTimeouts.seconds(in: .nodesWanted))
    #expect(
      ProtocolTimeouts.seconds(in: .seedOffered) == ProtocolTimeouts.seconds(in: .offered)
        && ProtocolTimeouts.seconds(in: .seedNodesWanted) == ProtocolTimeouts.seconds(in: .nodesWanted)
        && ProtocolTimeouts.seconds(in: .seedLeavesWanted) == ProtocolTimeouts.seconds(in: .leavesWanted))
    #expect(
      ProtocolTimeouts.seconds(in: .proven) == ProtocolTimeouts.seconds(in: .settled)
        && ProtocolTimeouts.seconds(in: .proofReading) == ProtocolTimeouts.seconds(in: .proving))
    #expect(ProtocolTimeouts.seconds(in: .peerLeft) == ProtocolTimeouts.seconds(in: .leaving))
  }
}
