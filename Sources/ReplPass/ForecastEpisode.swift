import ReplModel

/// What is said of a VM whose objective is at risk: once when it begins, once when it is missed, once when it
/// is over.
public struct ForecastEpisode: Sendable {
  /// What to say now.
  public enum Event: Sendable, Hashable {
    case atRisk, missed, over
  }

  /// A single look may see a pass that has hardly begun.
  static let looks = 2

  private enum Told: Comparable {
    case nothing, atRisk, missed
  }

  private var told = Told.nothing
  private var bad = 0
  private var good = 0

  public init() {}

  /// To be called with every forecast. What is not known neither begins nor ends anything.
  public mutating func enter(_ verdict: VMStatus.Forecast.Verdict) -> Event? {
    switch verdict {
    case .met:
      (bad, good) = (0, good + 1)
      guard told != .nothing, good >= Self.looks else { return nil }
      told = .nothing
      return .over
    case .unknown:
      (bad, good) = (0, 0)
      return nil
    case .atRisk:
      (bad, good) = (bad + 1, 0)
      guard told == .nothing, bad >= Self.looks else { return nil }
      told = .atRisk
      return .atRisk
    case .missed:
      (bad, good) = (bad + 1, 0)
      guard told != .missed else { return nil }
      told = .missed
      return .missed
    }
  }
}
