import ReplModel

/// What one pass that committed took: the ground on which the next ones are planned.
public struct PassMeasure: Sendable, Codable, Hashable {
  /// When it committed.
  public var at: WallTime
  /// From its start (before the freeze) until the point was known here.
  public var seconds: Double
  public var freezeSeconds: Double
  public var sendSeconds: Double
  /// Commit and settle.
  public var commitSeconds: Double
  public var changedBytes: Int64
  public var wireBytes: Int64
  /// The VM had no point before: such a pass says nothing of those after it.
  public var isFirstCopy: Bool
  public var bottleneck: Bottleneck?

  public init(
    at: WallTime, seconds: Double, freezeSeconds: Double, sendSeconds: Double, commitSeconds: Double,
    changedBytes: Int64, wireBytes: Int64, isFirstCopy: Bool, bottleneck: Bottleneck?
  ) {
    self.at = at
    self.seconds = seconds
    self.freezeSeconds = freezeSeconds
    self.sendSeconds = sendSeconds
    self.commitSeconds = commitSeconds
    self.changedBytes = changedBytes
    self.wireBytes = wireBytes
    self.isFirstCopy = isFirstCopy
    self.bottleneck = bottleneck
  }

  /// Whether the figures can be those of a pass: they come back from a file.
  var isPlausible: Bool {
    [seconds, freezeSeconds, sendSeconds, commitSeconds].allSatisfy { (0...31_536_000).contains($0) }
  }
}

/// How long the next pass of a VM is expected to take.
public struct PassEstimate: Sendable, Hashable {
  /// From the start until the point is known here.
  public let seconds: Double
  /// Of that, sending, and commit with settling.
  public let sendSeconds: Double
  public let commitSeconds: Double

  /// Nil without a pass to go by. As long as most of those before it, and longer where the last ones took
  /// longer and longer: four of five, so that one slow pass does not count for hours and a few do.
  public init?(_ measures: [PassMeasure]) {
    let measures = measures.filter { !$0.isFirstCopy }
    guard !measures.isEmpty else { return nil }
    seconds = max(Self.quantile(measures.map(\.seconds)), Self.trend(measures.map(\.seconds)))
    sendSeconds = Self.quantile(measures.map(\.sendSeconds))
    commitSeconds = Self.quantile(measures.map(\.commitSeconds))
  }

  private static func quantile(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted[(sorted.count * 4 + 4) / 5 - 1]
  }

  /// Where the last three grow, each by a tenth at least, the next grows as much; at most twice the last.
  private static func trend(_ values: [Double]) -> Double {
    guard values.count >= 3 else { return 0 }
    let last = Array(values.suffix(3))
    guard last[1] > last[0] * 1.1, last[2] > last[1] * 1.1 else { return 0 }
    return min(last[2] * 2, last[2] + (last[2] - last[0]) / 2)
  }
}
