import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService

/// Measured passes, and what follows from them for the next ones.
extension SenderRuntime {
  /// What is known of one VM while the daemon looks ahead.
  struct Foresight {
    var track = PassTrack()
    var episode = ForecastEpisode()
  }

  func terms(of vm: SenderConfig.VM, _ id: VMID) -> PassTerms {
    PassTerms(
      intervalSeconds: vm.intervalSeconds, rpoSeconds: vm.rpoSeconds,
      expectedSeconds: history.estimate(of: id)?.seconds)
  }

  /// Keeps what a pass took. To be called before the board knows of its point.
  func measure(_ report: SourcePass.Report, _ vm: VMID, _ frozen: (began: Int64, seconds: Double)) {
    let measure = PassMeasure(
      at: time.wallTime(), seconds: Double(time.monotonicNanoseconds() - frozen.began) / 1e9,
      freezeSeconds: frozen.seconds, sendSeconds: report.phases.send, commitSeconds: report.phases.commit,
      changedBytes: report.pass.changedBytes, wireBytes: report.pass.wireBytes,
      isFirstCopy: board[vm]?.latestPoint == nil, bottleneck: report.pass.bottleneck)
    do throws(IOError) { try history.add(measure, of: vm) } catch {
      logger.warning("history-not-kept", metadata: ["cause": "\(error)"])
    }
  }

  /// What is to be expected of every VM goes onto the board, and what is bad news into the log. The daemon's,
  /// once a second.
  func lookAhead() {
    let (now, seconds) = (time.wallTime(), Double(time.monotonicNanoseconds()) / 1e9)
    let outlook = outlook
    let paths = Dictionary(
      roster.members.map { (identity(of: $0.vm), $0.vm.vmxPath) }, uniquingKeysWith: { first, _ in first })
    let everyone = board.all
    for status in everyone where status.state == .found && status.rpoForecast != nil {
      board.update(status.vm) { $0.rpoForecast = nil }
    }
    let all = everyone.filter { $0.state != .found }
    var known = foresight.withLock { $0 }
    known = known.filter { entry in all.contains { $0.vm == entry.key } }
    for status in all {
      var own = known[status.vm] ?? Foresight()
      own.track.look(at: status.running, nowSeconds: seconds)
      if own.track.hasMoved, let path = paths[status.vm] { noteMoved(path) }
      let forecast = forecast(of: status, own.track, paths[status.vm].flatMap { outlook[$0] }, now: now)
      board.update(status.vm) { $0.rpoForecast = forecast }
      if let event = own.episode.enter(
        forecast.verdict, newestFrozenAt: status.newestPoint?.frozenAt)
      {
        say(event, forecast, status, now: now)
      }
      known[status.vm] = own
    }
    foresight.withLock { $0 = known }
  }

  private func forecast(
    of status: VMStatus, _ track: PassTrack,
    _ outlook: (startsInSeconds: Double, isPlaceMissing: Bool, failures: Int)?, now: WallTime
  ) -> VMStatus.Forecast {
    var forecast = RPOForecast(now: now, rpoSeconds: status.rpoSeconds)
    forecast.newestFrozenAt = status.newestPoint?.frozenAt
    forecast.estimate = history.estimate(of: status.vm)
    forecast.running = status.running
    forecast.track = track
    forecast.startsInSeconds = outlook?.startsInSeconds
    forecast.isPlaceMissing = outlook?.isPlaceMissing ?? false
    forecast.failures = outlook?.failures ?? 0
    forecast.failure = status.lastFailure
    forecast.lastBottleneck = status.lastPass?.bottleneck
    return forecast.result
  }

  private func say(
    _ event: ForecastEpisode.Event, _ forecast: VMStatus.Forecast, _ status: VMStatus, now: WallTime
  ) {
    var metadata: Logger.Metadata = ["vm": "\(status.name)", "rpo_seconds": "\(status.rpoSeconds)"]
    if event == .over {
      logger.notice("rpo-met-again", metadata: metadata)
      return
    }
    if let breachAt = forecast.breachAt {
      metadata["breach_at"] = "\(breachAt)"
      if event == .atRisk { metadata["in_seconds"] = "\(breachAt.seconds(since: now))" }
    }
    if let lag = forecast.lagSeconds {
      metadata["expected_lag_seconds"] = "\(lag)"
      metadata["late_by_seconds"] = "\(max(0, lag - status.rpoSeconds))"
    }
    metadata["bottleneck"] = "\(forecast.bottleneck?.rawValue ?? "unknown")"
    metadata["cause"] = "\(forecast.reason)"
    let isFailing = status.lastFailure != nil && forecast.commitAt == nil
    metadata["next"] =
      "\(isFailing ? status.lastFailure?.cause ?? "" : forecast.bottleneck?.advice ?? "look at the status")"
    logger.warning(event == .missed ? "rpo-missed" : "rpo-at-risk", metadata: metadata)
  }
}
