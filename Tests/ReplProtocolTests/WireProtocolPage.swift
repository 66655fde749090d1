import FoundationEssentials
import ReplModel

@testable import ReplProtocol

/// The protocol page as the tests read it.
struct WireProtocolPage {
  /// One place in the table of states.
  struct Cell: Hashable {
    let role: SessionRole
    let phase: SessionState.Phase
    let direction: SessionState.Direction
    let message: MessageType
  }

  enum Fault: Error { case unreadable(String) }

  let lines: [String]

  static func load(file: String = #filePath) throws -> WireProtocolPage {
    let root = file.split(separator: "/").dropLast(3).joined(separator: "/")
    let path = "/\(root)/Sources/ReplProtocol/ReplProtocol.docc/WireProtocol.md"
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw Fault.unreadable(path)
    }
    let text = String(decoding: bytes, as: UTF8.self)
    return WireProtocolPage(
      lines: text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) })
  }

  /// The rows of the first table below a heading, without its head.
  func table(below heading: String) throws -> [[String]] {
    guard let start = lines.firstIndex(of: heading) else { throw Fault.unreadable(heading) }
    let rest = lines[(start + 1)...].drop { !$0.hasPrefix("|") }.prefix { $0.hasPrefix("|") }
    return rest.dropFirst(2).map { row in
      row.split(separator: "|").map { Self.trimmed($0) }
    }
  }

  /// The bytes of the hex blocks, in order.
  func hexBlocks() throws -> [[UInt8]] {
    var blocks: [[UInt8]] = []
    var rest = lines[...]
    while let start = rest.firstIndex(of: "```hex") {
      let body = rest[(start + 1)...].prefix { $0 != "```" }
      var bytes: [UInt8] = []
      for line in body {
        // Bytes, then at least two blanks, then words.
        let hex = String(line.prefix(line.firstDoubleBlank)).filter { $0 != " " }
        guard let decoded = HexText.decode(hex) else { throw Fault.unreadable(line) }
        bytes += decoded
      }
      blocks.append(bytes)
      rest = rest[(start + 1 + body.count)...]
    }
    return blocks
  }

  /// Every allowed cell of the table of states.
  func transitions() throws -> [Cell: SessionState.Phase] {
    var cells: [Cell: SessionState.Phase] = [:]
    let rows = try table(below: "## States")
    for role in SessionRole.allCases {
      for row in rows where row[2] == "*any of its messages*" {
        for message in try Self.spoken(by: role.peer, rows) {
          cells[Cell(role: role, phase: .leaving, direction: .received, message: message)] =
            .leaving
        }
      }
      for row in rows where row[2] != "*any of its messages*" {
        let message = try Self.message(row[2])
        for phase in try Self.phases(row[0]) {
          let next = row[3] == "*same*" ? phase : try Self.phase(row[3])
          let direction = try Self.direction(row[1], role)
          cells[Cell(role: role, phase: phase, direction: direction, message: message)] = next
        }
      }
    }
    return cells
  }

  private static func spoken(by role: SessionRole, _ rows: [[String]]) throws -> Set<MessageType> {
    let mine = rows.filter { $0[1] == "self" || $0[1] == role.rawValue }
    return Set(try mine.map { try message($0[2]) })
  }

  private static func direction(
    _ speaker: String, _ role: SessionRole
  ) throws
    -> SessionState.Direction
  {
    switch speaker {
    case "self", role.rawValue: .sending
    case "peer", role.peer.rawValue: .received
    default: throw Fault.unreadable(speaker)
    }
  }

  private static func phases(_ name: String) throws -> [SessionState.Phase] {
    guard name == "*in pass*" else { return [try phase(name)] }
    return SessionState.Phase.allCases.filter {
      (SessionState.Phase.ready.rawValue...SessionState.Phase.proven.rawValue).contains(
        $0.rawValue)
    }
  }

  private static func phase(_ name: String) throws -> SessionState.Phase {
    guard let phase = SessionState.Phase.allCases.first(where: { "\($0)" == name }) else {
      throw Fault.unreadable(name)
    }
    return phase
  }

  private static func message(_ name: String) throws -> MessageType {
    guard let message = MessageType.allCases.first(where: { "\($0)" == name }) else {
      throw Fault.unreadable(name)
    }
    return message
  }

  private static func trimmed(_ cell: Substring) -> String {
    String(cell.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}

extension String {
  /// Characters before the first two blanks in a row, or all.
  fileprivate var firstDoubleBlank: Int {
    let characters = Array(self)
    let index = characters.indices.dropLast().first {
      characters[$0] == " " && characters[$0 + 1] == " "
    }
    return index ?? characters.count
  }
}
