import ReplModel
import Testing

@testable import ReplProtocol

@Suite("session states")
struct SessionStateTests {
  typealias Phase = SessionState.Phase
  typealias Cell = WireProtocolPage.Cell

  @Test(
    "every message in every state, both ways and for both roles, is what the protocol page says")
  func everyMessageInEveryStateIsHandled() throws {
    let page = try WireProtocolPage.load().transitions()
    var allowed = 0
    var refused = 0
    for role in SessionRole.allCases {
      for phase in Phase.allCases {
        for direction in SessionState.Direction.allCases {
          for message in MessageType.allCases {
            let cell = Cell(role: role, phase: phase, direction: direction, message: message)
            let next = SessionState.next(
              role: role, phase: phase, direction: direction, message: message)
            #expect(next == page[cell], "\(cell)")
            if next == nil { refused += 1 } else { allowed += 1 }
          }
        }
      }
    }
    #expect(allowed + refused == 2 * 22 * 2 * 22)
    #expect(allowed == page.count)
    #expect(allowed > 200)
  }

  @Test("a refused message leaves the state as it was and says who did what in which state")
  func refusalLeavesTheState() throws {
    var state = SessionState(role: .target)
    let early = #expect(throws: ProtocolError.wrongState(.batch, .greeting, .received, .target)) {
      try state.received(.batch)
    }
    #expect(state.phase == .greeting)
    #expect(early?.description.contains("batch in state greeting") == true)
    #expect(early?.number == .wrongState)
    #expect(throws: ProtocolError.wrongState(.commit, .greeting, .sending, .target)) {
      try state.sending(.commit)
    }
    #expect(state.phase == .greeting)
  }

  /// Two ends and what is under way between them.
  struct Pair {
    var source = SessionState(role: .source)
    var target = SessionState(role: .target)

    init() throws {
      try source.sending(.hello)
      try target.sending(.hello)
      try source.received(.hello)
      try target.received(.hello)
      source.agree(on: Set(Feature.allCases))
      target.agree(on: Set(Feature.allCases))
    }

    mutating func source(_ types: MessageType...) throws {
      for type in types {
        try source.sending(type)
        try target.received(type)
      }
    }

    mutating func offerSeed() throws {
      try source(.offer)
      try source.beginSeed()
      try target.beginSeed()
    }

    mutating func target(_ types: MessageType...) throws {
      for type in types {
        try target.sending(type)
        try source.received(type)
      }
    }
  }

  @Test(
    "a whole pass with a lost key, a comparison, a resend and a goodbye is allowed at both ends")
  func wholePass() throws {
    var pair = try Pair()
    try pair.source(.keyRequest)
    try pair.target(.key)
    try pair.source(.key, .offer)
    try pair.target(.heartbeat, .accept)
    try pair.source(.nodesRequest)
    try pair.target(.nodes)
    try pair.source(.leavesRequest, .batch)
    try pair.target(.ack, .leaves)
    try pair.source(.batch, .file)
    try pair.target(.ack, .resend)
    try pair.source(.batch, .commit)
    try pair.target(.ack, .committed, .heartbeat, .settled)
    #expect(pair.source.phase == .settled)
    #expect(pair.source.resends == 1)
    #expect(pair.target.resends == 1)
    try pair.source(.goodbye)
    try pair.target(.goodbye)
    #expect(pair.source.phase == .closed)
    #expect(pair.target.phase == .closed)
  }

  @Test("a commit that crosses a resend is void, and the next one counts")
  func commitCrossesResend() throws {
    var pair = try Pair()
    try pair.source(.offer)
    try pair.target(.accept)
    try pair.source(.batch)
    // Both send before either has read.
    try pair.target.sending(.resend)
    let crossing = Commit(disks: [], batches: 1, resendsAnswered: pair.source.resends)
    try pair.source.sending(.commit)
    try pair.target.received(.commit)
    #expect(crossing.isVoid(resendsSent: pair.target.resends))
    pair.target.ignoreVoidCommit()
    try pair.source.received(.resend)
    #expect(pair.source.phase == .streaming)
    #expect(pair.target.phase == .streaming)
    try pair.source(.batch)
    let second = Commit(disks: [], batches: 2, resendsAnswered: pair.source.resends)
    try pair.source(.commit)
    #expect(!second.isVoid(resendsSent: pair.target.resends))
    try pair.target(.committed)
    #expect(pair.source.phase == .committed)
  }

  @Test("a seed compares, sends and asks again as a pass does, and ends with two goodbyes")
  func wholeSeed() throws {
    var pair = try Pair()
    try pair.offerSeed()
    try pair.target(.heartbeat, .accept)
    #expect(pair.source.phase == .seeding)
    try pair.source(.nodesRequest)
    try pair.target(.nodes)
    try pair.source(.leavesRequest, .batch)
    try pair.target(.ack, .leaves)
    try pair.source(.batch, .batch)
    try pair.target(.resend)
    try pair.source(.batch, .goodbye)
    #expect(pair.source.resends == 1 && pair.target.resends == 1)
    try pair.target(.goodbye)
    #expect(pair.source.phase == .closed)
    #expect(pair.target.phase == .closed)
  }

  @Test("a seed has no file and no commit, in no state and for nobody")
  func noCommitInASeed() throws {
    for phase in [Phase.seedOffered, .seeding, .seedNodesWanted, .seedLeavesWanted] {
      for role in SessionRole.allCases {
        for direction in SessionState.Direction.allCases {
          for message in [MessageType.commit, .file, .committed, .settled, .offer] {
            let next = SessionState.next(role: role, phase: phase, direction: direction, message: message)
            #expect(next == nil, "\(role) \(direction) \(message) in \(phase)")
          }
        }
      }
    }
    var pair = try Pair()
    try pair.offerSeed()
    try pair.target(.accept)
    #expect(throws: ProtocolError.wrongState(.commit, .seeding, .received, .target)) {
      try pair.target.received(.commit)
    }
    #expect(pair.target.phase == .seeding)
  }

  @Test("a seed that the hellos did not agree on is refused at both ends")
  func seedNotAgreed() throws {
    var pair = try Pair()
    pair.source.agree(on: [.resend, .tree])
    pair.target.agree(on: [.resend, .tree])
    try pair.source(.offer)
    #expect(throws: ProtocolError.featureNotAgreed(.seed, .offer)) { try pair.source.beginSeed() }
    #expect(throws: ProtocolError.featureNotAgreed(.seed, .offer)) { try pair.target.beginSeed() }
    #expect(pair.target.phase == .offered)
  }

  @Test("after the commit was answered only settled, heartbeat, error and goodbye are left")
  func afterCommitted() {
    for role in SessionRole.allCases {
      for message in MessageType.allCases {
        for direction in SessionState.Direction.allCases {
          let next = SessionState.next(
            role: role, phase: .committed, direction: direction, message: message)
          let fromTarget = (role == .target) == (direction == .sending)
          let isAllowed =
            [.heartbeat, .error, .goodbye].contains(message) || (message == .settled && fromTarget)
          #expect((next != nil) == isAllowed, "\(role) \(direction) \(message)")
        }
      }
    }
  }

  @Test("what crossed our goodbye is ignored, what the peer's role may never say is still refused")
  func crossingGoodbye() throws {
    var pair = try Pair()
    try pair.source(.offer)
    try pair.target(.accept)
    try pair.source.sending(.goodbye)
    #expect(try pair.source.received(.ack) == .ignore)
    #expect(try pair.source.received(.resend) == .ignore)
    #expect(throws: ProtocolError.self) { try pair.source.received(.batch) }
    #expect(throws: ProtocolError.self) { try pair.source.sending(.batch) }
    #expect(throws: ProtocolError.self) { try pair.source.sending(.heartbeat) }
    #expect(try pair.source.received(.error) == .handle)
    #expect(pair.source.phase == .closed)
  }

  @Test("an error ends the session at once, in every state before the end")
  func errorEndsEverywhere() {
    for role in SessionRole.allCases {
      for phase in Phase.allCases where phase != .closed {
        #expect(
          SessionState.next(role: role, phase: phase, direction: .received, message: .error)
            == .closed)
        let sent = SessionState.next(role: role, phase: phase, direction: .sending, message: .error)
        #expect(sent == (phase == .leaving ? nil : phase == .peerLeft ? .closed : .leaving))
      }
      for message in MessageType.allCases {
        for direction in SessionState.Direction.allCases {
          #expect(
            SessionState.next(role: role, phase: .closed, direction: direction, message: message)
              == nil)
        }
      }
    }
  }

  @Test("a second offer on one connection is refused in every state")
  func onePassPerConnection() {
    for phase in Phase.allCases where phase != .ready {
      #expect(
        SessionState.next(role: .source, phase: phase, direction: .sending, message: .offer) == nil)
      let received = SessionState.next(
        role: .target, phase: phase, direction: .received, message: .offer)
      #expect(received == (phase == .leaving ? .leaving : nil))
    }
  }

  @Test("a message whose feature was not agreed on is refused and leaves the state")
  func featureNotAgreed() throws {
    var pair = try Pair()
    try pair.source(.offer)
    try pair.target(.accept)
    pair.source.agree(on: [.tree])
    pair.target.agree(on: [.resend])
    #expect(throws: ProtocolError.featureNotAgreed(.resend, .resend)) {
      try pair.source.received(.resend)
    }
    #expect(throws: ProtocolError.featureNotAgreed(.tree, .nodesRequest)) {
      try pair.target.received(.nodesRequest)
    }
    #expect(pair.source.phase == .streaming)
    #expect(pair.source.resends == 0)
    try pair.source.sending(.leavesRequest)
    #expect(pair.source.phase == .leavesWanted)
  }

  @Test("every state has a deadline, or none because heartbeats and acknowledgements have theirs")
  func everyPhaseHasADeadline() {
    for phase in Phase.allCases {
      let seconds = ProtocolTimeouts.seconds(in: phase)
      #expect((seconds == nil) == [.streaming, .seeding].contains(phase), "\(phase)")
    }
    #expect(ProtocolTimeouts.handshakeSeconds == 10)
    #expect(ProtocolTimeouts.heartbeatSeconds * 2 < ProtocolTimeouts.idleSeconds)
  }
}
