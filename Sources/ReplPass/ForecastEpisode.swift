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
  /// Without a new point a risk is over only after so many: a forecast near the limit goes to and fro.
  static let looksWithoutPoint = 30

  private enum Told: Comparable {
    case nothing, atRisk, missed
  }

  private var told = Told.nothing
  private var bad = 0
  private var good = 0
  /// The newest point when the risk was told.
  private var toldAt: WallTime?

  public init() {}

  /// To be called with every forecast, and when the newest point was frozen. What is not known neither begins
  /// nor ends anything.
  public mutating func enter(_ verdict: VMStatus.Forecast.Verdict, newestFrozenAt: WallTime?) -> Event? {
    switch verdict {
    case .met:
      (bad, good) = (0, good + 1)
      let enough = newestFrozenAt == toldAt ? Self.looksWithoutPoint : Self.looks
      guard told != .nothing, good >= enough else { return nil }
      told = .nothing
      return .over
    case .unknown:
      (bad, good) = (0, 0)
      return nil
    case .atRisk:
      (bad, good) = (bad + 1, 0)
      guard told == .nothing, bad >= Self.looks else { return nil }
      (told, toldAt) = (.atRisk, newestFrozenAt)
      return .atRisk
    case .missed:
      (bad, good) = (bad + 1, 0)
      guard told != .missed else { return nil }
      (told, toldAt) = (.missed, newestFrozenAt)
      return .missed
    }
  }
}
