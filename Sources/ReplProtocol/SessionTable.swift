/// Who may say what in which state, and what follows. The table of WireProtocol.md, as data.
enum SessionTable {
  /// Who speaks in a row.
  enum Speaker {
    /// Whichever side looks at the table, and the other one.
    case own, peer
    case source, target
  }

  struct Row {
    let phase: SessionState.Phase
    let speaker: Speaker
    let message: MessageType
    let next: SessionState.Phase

    init(
      _ phase: SessionState.Phase, _ speaker: Speaker, _ message: MessageType, _ next: SessionState.Phase
    ) {
      self.phase = phase
      self.speaker = speaker
      self.message = message
      self.next = next
    }
  }

  static func next(
    _ role: SessionRole, _ phase: SessionState.Phase, _ direction: SessionState.Direction,
    _ message: MessageType
  ) -> SessionState.Phase? {
    cells[index(role, phase, direction, message)]
  }

  private static let rows: [Row] = greeting + exchange + transfer + seed + proof + common + ending

  private static let greeting: [Row] = [
    Row(.greeting, .own, .hello, .helloSent),
    Row(.greeting, .peer, .hello, .helloReceived),
    Row(.greeting, .own, .error, .leaving),
    Row(.greeting, .peer, .error, .closed),
    Row(.helloSent, .peer, .hello, .ready),
    Row(.helloSent, .own, .heartbeat, .helloSent),
    Row(.helloSent, .own, .error, .leaving),
    Row(.helloSent, .peer, .error, .closed),
    Row(.helloReceived, .own, .hello, .ready),
    Row(.helloReceived, .peer, .heartbeat, .helloReceived),
    Row(.helloReceived, .own, .error, .leaving),
    Row(.helloReceived, .peer, .error, .closed),
  ]

  private static let exchange: [Row] = [
    Row(.ready, .source, .keyRequest, .keyWanted),
    Row(.ready, .source, .key, .ready),
    Row(.ready, .source, .offer, .offered),
    Row(.keyWanted, .target, .key, .ready),
    Row(.offered, .target, .accept, .streaming),
    Row(.streaming, .source, .nodesRequest, .nodesWanted),
    Row(.streaming, .source, .leavesRequest, .leavesWanted),
    Row(.nodesWanted, .target, .nodes, .streaming),
    Row(.leavesWanted, .target, .leaves, .streaming),
  ]

  private static let transfer: [Row] =
    [.streaming, .nodesWanted, .leavesWanted].flatMap { phase in
      [
        Row(phase, .source, .batch, phase), Row(phase, .source, .file, phase),
        Row(phase, .target, .ack, phase), Row(phase, .target, .resend, phase),
      ]
    } + [
      Row(.streaming, .source, .commit, .committing),
      Row(.committing, .target, .ack, .committing),
      Row(.committing, .target, .resend, .streaming),
      Row(.committing, .target, .committed, .committed),
      Row(.committed, .target, .settled, .settled),
    ]

  private static let seed: [Row] =
    [
      Row(.seedOffered, .target, .accept, .seeding),
      Row(.seeding, .source, .nodesRequest, .seedNodesWanted),
      Row(.seeding, .source, .leavesRequest, .seedLeavesWanted),
      Row(.seedNodesWanted, .target, .nodes, .seeding),
      Row(.seedLeavesWanted, .target, .leaves, .seeding),
    ]
    + [.seeding, .seedNodesWanted, .seedLeavesWanted].flatMap { phase in
      [
        Row(phase, .source, .batch, phase), Row(phase, .target, .ack, phase),
        Row(phase, .target, .resend, phase),
      ]
    }

  private static let proof: [Row] = [
    Row(.settled, .source, .reading, .proofReading),
    Row(.proofReading, .source, .reading, .proofReading),
    Row(.proofReading, .target, .reading, .proofReading),
    Row(.proofReading, .source, .proof, .proving),
    Row(.proving, .target, .reading, .proving),
    Row(.proving, .target, .statement, .proven),
  ]

  private static let common: [Row] = SessionState.Phase.inPass.flatMap { phase in
    [
      Row(phase, .own, .heartbeat, phase), Row(phase, .peer, .heartbeat, phase),
      Row(phase, .own, .goodbye, .leaving), Row(phase, .peer, .goodbye, .peerLeft),
      Row(phase, .own, .error, .leaving), Row(phase, .peer, .error, .closed),
    ]
  }

  private static let ending: [Row] = [
    Row(.peerLeft, .own, .goodbye, .closed),
    Row(.peerLeft, .own, .error, .closed),
    Row(.peerLeft, .peer, .error, .closed),
    Row(.leaving, .peer, .goodbye, .closed),
    Row(.leaving, .peer, .error, .closed),
  ]

  /// Message numbers run from 1 to 22.
  private static let messageSlots = 23

  private static func index(
    _ role: SessionRole, _ phase: SessionState.Phase, _ direction: SessionState.Direction,
    _ message: MessageType
  ) -> Int {
    let side = (role == .source ? 0 : 2) + (direction == .sending ? 0 : 1)
    let row = side * SessionState.Phase.allCases.count + Int(phase.rawValue)
    return row * messageSlots + Int(message.rawValue)
  }

  private static let cells: [SessionState.Phase?] = {
    var cells = [SessionState.Phase?](
      repeating: nil, count: 4 * SessionState.Phase.allCases.count * messageSlots)
    for role in SessionRole.allCases {
      let seen = rows.map { (row: $0, direction: direction(of: $0.speaker, seenBy: role)) }
      // What the peer may ever say can have crossed our last message.
      for (row, direction) in seen where direction == .received {
        cells[index(role, .leaving, .received, row.message)] = .leaving
      }
      for (row, direction) in seen { cells[index(role, row.phase, direction, row.message)] = row.next }
    }
    return cells
  }()

  private static func direction(of speaker: Speaker, seenBy role: SessionRole) -> SessionState.Direction {
    switch speaker {
    case .own: .sending
    case .peer: .received
    case .source: role == .source ? .sending : .received
    case .target: role == .target ? .sending : .received
    }
  }
}
