import ArgumentParser
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Recovery points: what is kept, and what can be done with it.
struct PointsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "points",
    abstract: "List the recovery points of a standby, read any of them, and say which must stay.",
    discussion: """
      `repl-receiver points VM` lists them, newest first. Which points are kept is said by `retention` in the
      configuration; `failover --point` starts an older one.
      """,
    subcommands: [
      PointsListCommand.self, PointsMountCommand.self, PointsUnmountCommand.self, PointsPinCommand.self,
      PointsUnpinCommand.self, PointsDropCommand.self,
    ], defaultSubcommand: PointsListCommand.self)
}

extension PointReference: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

/// One point as `--json` shows it.
struct PointOutput: Encodable {
  /// As people write it: `1.42`.
  let point: String
  let frozenAt: WallTime
  let committedAt: WallTime
  let ageSeconds: Double
  let label: PointLabel
  /// Bytes of all disks.
  let sizeBytes: Int64
  /// What keeping the point takes; 0 for the newest.
  let undoBytes: Int64
  let isNewest: Bool
  /// The disks hold it.
  let isHeld: Bool
  let pin: String?
  let verifiedAt: WallTime?
  /// Why it cannot be had as it was.
  let problem: String?

  init(_ report: PointReport, now: WallTime) {
    point = "\(report.point.reference)"
    frozenAt = report.point.frozenAt
    committedAt = report.point.committedAt
    ageSeconds = now.seconds(since: report.point.frozenAt)
    label = report.point.label
    sizeBytes = report.sizeBytes
    undoBytes = report.undoBytes
    isNewest = report.isNewest
    isHeld = report.isHeld
    pin = report.pin
    verifiedAt = report.verifiedAt
    problem = report.problem
  }
}

/// Lists the points of a standby.
struct PointsListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Show every recovery point: age, size, label, what keeping it takes.")

  @OptionGroup var standby: StandbyArgument

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      let reports = try found.store.points(of: found.summary)
      let now = SystemTime().wallTime()
      if json {
        return Terminal.say(try JSONText.encode(reports.map { PointOutput($0, now: now) }) + "\n")
      }
      if reports.isEmpty { Terminal.say("no recovery points yet: the first copy is not complete\n") }
      for line in Self.lines(reports, now: now) { Terminal.say(line + "\n") }
    }
  }

  private static func lines(_ reports: [PointReport], now: WallTime) -> [String] {
    if reports.isEmpty { return [] }
    let rows =
      [["POINT", "FROZEN AT", "AGE", "SIZE", "KEEPING IT", "LABEL"]] + reports.map { row($0, now: now) }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
        .joined(separator: "  ").trimmedAtEnd
    }
  }

  private static func row(_ report: PointReport, now: WallTime) -> [String] {
    let point = report.point
    var words = [point.label.rawValue]
    if report.isNewest { words.append("newest") }
    if report.isHeld && !report.isNewest { words.append("in the disks") }
    if let at = report.verifiedAt { words.append("verified \(at)") }
    if let pin = report.pin {
      words.append("pinned" + (pin.isEmpty ? "" : " (\(SafeText.printable(pin, limit: 80)))"))
    }
    if let problem = report.problem { words.append("DAMAGED: \(SafeText.printable(problem, limit: 256))") }
    return [
      "\(point.reference)", "\(point.frozenAt)",
      AmountText.duration(seconds: now.seconds(since: point.frozenAt)),
      AmountText.size(bytes: report.sizeBytes), AmountText.size(bytes: report.undoBytes),
      words.joined(separator: ", "),
    ]
  }
}

extension String {
  fileprivate var trimmedAtEnd: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
