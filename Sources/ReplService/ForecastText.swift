import ReplModel

/// What status says of the time that passes take and whether it is enough: only what is out of the ordinary,
/// and what slow passes wait for.
enum ForecastText {
  /// What takes less needs no explanation.
  private static let briefSeconds = 10.0

  static func lines(of vm: VMStatus, now: WallTime) -> [String] {
    var lines: [String] = []
    if let forecast = vm.rpoForecast, let line = text(forecast, vm, now: now) { lines.append(line) }
    if let running = vm.running, let bottleneck = running.bottleneck,
      now.seconds(since: running.startedAt) >= briefSeconds
    {
      lines.append("this pass waits most for: \(bottleneck.rawValue)")
    }
    if let pass = vm.lastPass, pass.durationSeconds >= briefSeconds, let bottleneck = pass.bottleneck {
      lines.append("the last pass waited most for: \(bottleneck.rawValue)\(seconds(pass.stages))")
    }
    return lines
  }

  private static func text(_ forecast: VMStatus.Forecast, _ vm: VMStatus, now: WallTime) -> String? {
    let reason = SafeText.printable(forecast.reason, limit: 512)
    let slow = forecast.bottleneck.map { " (\($0.rawValue): \($0.advice))" } ?? ""
    switch forecast.verdict {
    case .met: return nil
    // The line of the table says that there is none.
    case .unknown: return forecast.breachAt == nil ? nil : "whether the rpo is met is unknown: \(reason)"
    case .atRisk:
      let left = forecast.breachAt.map { AmountText.duration(seconds: $0.seconds(since: now)) } ?? "?"
      return "RPO AT RISK, missed in \(left): \(reason)\(slow)"
    case .missed: return "RPO MISSED: \(reason)\(slow)"
    }
  }

  private static func seconds(_ stages: VMStatus.StageSeconds?) -> String {
    guard let stages else { return "" }
    let parts = stages.all.filter { $0.1 >= 0.05 }
      .map { "\($0.0.rawValue) \(AmountText.duration(seconds: $0.1))" }
    return parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
  }
}
