/// How often passes of a VM are made, within which objective, and how long one is expected to take.
public struct PassTerms: Sendable, Hashable {
  /// From start to start.
  public var intervalSeconds: Double
  /// The greatest lag that is wanted; nil where there is no objective.
  public var rpoSeconds: Double?
  /// From the start to the commit; nil where none was measured.
  public var expectedSeconds: Double?

  public init(intervalSeconds: Double, rpoSeconds: Double? = nil, expectedSeconds: Double? = nil) {
    self.intervalSeconds = intervalSeconds
    self.rpoSeconds = rpoSeconds
    self.expectedSeconds = expectedSeconds
  }

  /// From the start of a pass until the next one must start at the latest, for the objective's sake.
  public var gapSeconds: Double { PassPlan.gapSeconds(self) }
}
