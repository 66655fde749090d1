import ReplModel

/// Limits and rates for people.
enum BandwidthText {
  /// Of all passes together; nil where there is nothing to say.
  static func daemon(_ status: BandwidthStatus) -> String? {
    guard status.limitBytesPerSecond != nil || status.window != nil || status.bytesPerSecond > 0 else {
      return nil
    }
    return "sending \(AmountText.rate(bytesPerSecond: status.bytesPerSecond)), \(limit(status))"
  }

  /// Behind the progress of a pass.
  static func vm(_ status: BandwidthStatus) -> String {
    let rate = ", \(AmountText.rate(bytesPerSecond: status.bytesPerSecond))"
    return status.limitBytesPerSecond == nil ? rate : "\(rate) (\(limit(status)))"
  }

  private static func limit(_ status: BandwidthStatus) -> String {
    let window = status.window.map { " (\(SafeText.printable($0, limit: 64)))" } ?? ""
    guard let limit = status.limitBytesPerSecond else { return "no limit\(window)" }
    return "limit \(AmountText.rate(bytesPerSecond: limit))\(window)"
  }
}

extension BandwidthText {
  /// `at most 50 MB/s, mon-fri 08:00-18:00 at most 5 MB/s`; nil for a plan that limits nothing.
  static func plan(_ plan: BandwidthPlan) -> String? {
    guard plan != .unlimited else { return nil }
    func most(_ rate: Int64?) -> String {
      rate.map { "at most \(AmountText.rate(bytesPerSecond: $0))" } ?? "no limit"
    }
    let windows = plan.windows.map { ", \($0) \(most($0.bytesPerSecond))" }
    return most(plan.bytesPerSecond) + windows.joined()
  }
}

extension BandwidthPlan {
  /// For `config check`; nil for a plan that limits nothing.
  public var summary: String? { BandwidthText.plan(self) }
}
