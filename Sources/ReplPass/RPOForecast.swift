import ReplModel

/// Whether the objective of one VM is expected to be met: what is known of it now, and what follows.
///
/// Nothing is called well that is not known to be: without a measured pass, or while one is stuck or failing,
/// the answer is that nobody knows, and that the objective is at risk when little time is left.
public struct RPOForecast: Sendable {
  public var now: WallTime
  public var rpoSeconds: Double
  /// When the newest point was frozen; nil before the first.
  public var newestFrozenAt: WallTime?
  /// From the passes that were measured.
  public var estimate: PassEstimate?
  public var running: VMStatus.Running?
  public var track = PassTrack()
  /// Of a pass that waits; nil when that is not known.
  public var startsInSeconds: Double?
  /// It waits for the pass of another VM to end.
  public var isPlaceMissing = false
  /// Attempts since the last commit that failed.
  public var failures = 0
  /// What the board says went wrong last.
  public var failure: VMStatus.Failure?
  /// What the last pass waited for.
  public var lastBottleneck: Bottleneck?

  public init(now: WallTime, rpoSeconds: Double) {
    self.now = now
    self.rpoSeconds = rpoSeconds
  }

  /// When the next point will be there.
  private enum Expectation {
    case inSeconds(Double, because: String)
    /// Nobody knows, and it is not going well; if all goes well from now on, not before `atBest`.
    case stuck(String, atBest: Double)
    /// Not without a person.
    case never(String)
    case unknown(String)
  }

  /// The forecast.
  public var result: VMStatus.Forecast {
    guard let newestFrozenAt else {
      return VMStatus.Forecast(
        verdict: .unknown, commitAt: commitAt, bottleneck: bottleneck,
        reason: "there is no recovery point yet")
    }
    let breachAt = newestFrozenAt.adding(seconds: rpoSeconds)
    let left =
      Double(breachAt.millisecondsSince1970 - now.millisecondsSince1970) / 1000
    let (verdict, reason) = judge(secondsLeft: left)
    let commitAt = commitAt
    return VMStatus.Forecast(
      verdict: verdict, breachAt: breachAt, commitAt: commitAt,
      lagSeconds: commitAt.map { $0.seconds(since: newestFrozenAt) }, bottleneck: bottleneck, reason: reason)
  }

  private func judge(secondsLeft left: Double) -> (VMStatus.Forecast.Verdict, String) {
    let end = left > 0 ? "the rpo ends in \(Self.text(left))" : "the rpo ended \(Self.text(-left)) ago"
    let (isLate, text): (Bool?, String) =
      switch expectation {
      case .inSeconds(let seconds, let because):
        (seconds > left, "\(because), in \(Self.text(seconds)); \(end)")
      case .stuck(let what, let atBest):
        (atBest > left || left < patienceSeconds ? true : nil, "\(what); \(end)")
      case .never(let what): (true, "\(what); \(end)")
      case .unknown(let what): (nil, "\(what); \(end)")
      }
    if left <= 0 { return isSettlingInTime ? (.met, text) : (.missed, text + impossibility) }
    guard let isLate else { return (.unknown, text) }
    return isLate ? (.atRisk, text + impossibility) : (.met, text)
  }

  /// The board does not have the point yet that the receiver is bringing into the disks.
  private var isSettlingInTime: Bool {
    guard let running, running.phase == "settle" else { return false }
    return now.seconds(since: track.beganAt ?? running.startedAt) < rpoSeconds
  }

  /// A point is as old as its pass took when it is there, and the next one takes as long again.
  private var impossibility: String {
    guard let seconds = estimate?.seconds, 2 * seconds > rpoSeconds else { return "" }
    let objective = Self.text(rpoSeconds)
    return "; passes take \(Self.text(seconds)), and an rpo of \(objective) is shorter than two of them"
  }

  /// How much must be left while something is not going well: a third of the objective, or two passes.
  private var patienceSeconds: Double { max(rpoSeconds / 3, 2 * (estimate?.seconds ?? 0)) }

  private var commitAt: WallTime? {
    guard case .inSeconds(let seconds, _) = expectation, seconds.isFinite else { return nil }
    return now.adding(seconds: seconds)
  }

  private var bottleneck: Bottleneck? { running?.bottleneck ?? lastBottleneck }

  // MARK: - Expectation

  private var expectation: Expectation {
    if let failure, failure.remedy == .stopVM, running == nil, failures > 0 || startsInSeconds == nil {
      return .never("no pass succeeds until somebody acts (\(failure.phase))")
    }
    guard let running else { return waiting }
    switch running.phase {
    case "settle": return .inSeconds(0, because: "the pass that runs is committed")
    case "prove", "release", "seed": return afterCommit(running.phase)
    default: return underWay(running)
    }
  }

  private var waiting: Expectation {
    guard let estimate else {
      if failures > 0 { return stuck(atBest: startsInSeconds ?? 0) }
      return .unknown("no pass has been measured yet")
    }
    guard let startsInSeconds else { return .unknown("it is not known when the next pass starts") }
    let commit = startsInSeconds + estimate.seconds
    if failures > 0 { return stuck(atBest: commit) }
    let wait = isPlaceMissing ? "the next pass waits for a place (max_concurrent_passes)" : "the next pass"
    return .inSeconds(
      commit, because: "\(wait) and takes \(Self.text(estimate.seconds)): a point is expected")
  }

  /// The pass has its point, and its VM gets no other before it has ended.
  private func afterCommit(_ phase: String) -> Expectation {
    guard let estimate else { return .unknown("no pass has been measured yet") }
    // A seed session ends in time for the next pass.
    if phase == "seed" { return .inSeconds(estimate.seconds, because: "the next pass begins in time") }
    guard phase == "prove", let rest = track.remainingSeconds else {
      return phase == "prove"
        ? .stuck("a proof runs, and the next pass after it", atBest: estimate.seconds)
        : .inSeconds(estimate.seconds, because: "the next pass follows")
    }
    return .inSeconds(rest + estimate.seconds, because: "the next pass follows the proof that runs")
  }

  private func underWay(_ running: VMStatus.Running) -> Expectation {
    let elapsed = track.beganAt.map { now.seconds(since: $0) } ?? 0
    let usual = estimate.map { max(0, $0.seconds - elapsed) }
    let tail = estimate?.commitSeconds ?? 0
    if running.phase == "send" || running.phase == "commit" {
      if let remaining = running.phase == "commit" ? 0 : track.remainingSeconds {
        guard remaining.isFinite else {
          return stuck("hardly anything moves in the pass that runs", atBest: tail)
        }
        // What is measured now counts the more, the more of the pass is done.
        let (done, measured) = (track.fractionDone, remaining + tail)
        let commit = done * measured + (1 - done) * max(measured, usual ?? 0)
        return .inSeconds(commit, because: "the pass that runs is expected to commit")
      }
    } else {
      // Neither data nor an end of waiting: the phases before the data have no measure of progress.
      if failures > 0 || isInterrupted { return stuck(atBest: (estimate?.sendSeconds ?? 0) + tail) }
      if let estimate, elapsed > 2 * estimate.seconds + 10 {
        return stuck(
          "the pass that runs is in \(running.phase) for unusually long", atBest: estimate.sendSeconds + tail)
      }
    }
    guard let estimate, let usual else { return .unknown("the pass that runs has no others to go by") }
    // What has taken so long without a sign of its speed is believed to take as long again.
    let least = running.phase == "send" ? max(tail, elapsed) : estimate.sendSeconds + tail
    return .inSeconds(max(usual, least), because: "the pass that runs is expected to commit")
  }

  /// The connection failed and is tried again in the same pass.
  private var isInterrupted: Bool {
    guard let failure, let began = track.beganAt else { return false }
    return failure.at >= began
  }

  private func stuck(atBest: Double) -> Expectation {
    let since = newestFrozenAt.map { "no pass has succeeded since \($0)" } ?? "no pass has succeeded"
    return stuck("\(since) (\(failure?.phase ?? "unknown") fails)", atBest: atBest)
  }

  private func stuck(_ what: String, atBest: Double) -> Expectation { .stuck(what, atBest: atBest) }

  private static func text(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "ever" }
    return seconds < 120 ? "\(Int(seconds.rounded())) s" : "\(Int(min(seconds, 1e9) / 60)) min"
  }
}

extension WallTime {
  /// The moment so much later; at most a hundred years.
  func adding(seconds: Double) -> WallTime {
    WallTime(millisecondsSince1970: millisecondsSince1970 + Int64(min(max(seconds, 0), 3.2e9) * 1000))
  }
}
