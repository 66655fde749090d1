import ReplModel
import ReplStandby

/// What a failover will do, for the operator to read before it is done.
public struct FailoverPlan: Sendable, Codable {
  public let vm: VMID
  public let name: String
  /// The standby's folder.
  public let directory: String
  public let point: PointReference
  public let frozenAt: WallTime
  public let label: PointLabel
  /// An older point than the newest was asked for; this is the newest, which can be gone back to until the VM
  /// is started.
  public let newerPoint: PointReference?
  /// What the source wrote after that moment is not in the point: seconds of changes that are lost.
  public let lossSeconds: Double
  /// A committed point is still being written into the disks; failover ends that first.
  public let isSettling: Bool
  /// Done before: failover goes on with what is left.
  public let isFenced: Bool
  /// Why the standby is not what replication wrote; failover is refused then.
  public let divergence: String?
  /// Why the standby may not hold the point: it is suspect or diverged. Taken with force only.
  public let doubts: [String]
  /// Why the point is not taken by default: it is fuzzy. Nil for others, and when that was accepted.
  public let fuzzyRefusal: String?
  public let registerCommand: String?
  public let powerOnCommand: String?

  /// One line a fact.
  public var lines: [String] {
    var lines = [
      "VM             \(SafeText.printable(name)) (\(vm))",
      "standby        \(directory)",
      "recovery point \(point), \(label.rawValue), frozen at \(frozenAt)",
      "loss           what was written at the primary in the last \(Self.duration(lossSeconds)) is not in it",
    ]
    for doubt in doubts { lines.append("doubtful       \(doubt)") }
    if let fuzzyRefusal { lines.append("refused        \(fuzzyRefusal)") }
    if let newerPoint {
      lines.append(
        "going back     the disks go from point \(newerPoint) to \(point); a redo file keeps the way to "
          + "\(newerPoint) until the VM runs")
    }
    if isSettling { lines.append("first          the point is brought into the disks to its end") }
    lines.append(
      isFenced
        ? "fence          raised before: replication to this standby has ended"
        : "fence          replication to this standby ends for good; the old primary is refused")
    lines.append("register       \(registerCommand ?? "no command is configured")")
    lines.append("power on       \(powerOnCommand ?? "no command is configured")")
    if powerOnCommand?.contains(Failover.unknownID) == true {
      lines.append("               \(Failover.unknownID) stands for what the register command prints")
    }
    return lines
  }

  static func duration(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 3.2e9))
    if whole < 120 { return "\(whole) s" }
    if whole < 7200 { return "\(whole / 60) min" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
