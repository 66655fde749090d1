import Logging
import ReplModel
import ReplPass
import ReplStandby

/// One line in the log for everything that happens to a standby.
struct EventLog {
  let logger: Logger

  func write(_ event: TargetService.Event) {
    switch event {
    case .committed(let vm, let peer, let point, let pass):
      logger.info(
        "pass-committed",
        metadata: [
          "vm": "\(vm)", "peer": "\(peer)", "pass": "\(point.pass)", "point": "\(point.reference)",
          "seconds": "\(pass.durationSeconds)", "changed_bytes": "\(pass.changedBytes)",
          "wire_bytes": "\(pass.wireBytes)",
        ])
    case .settled(let vm, let point):
      logger.info("point-settled", metadata: ["vm": "\(vm)", "point": "\(point)"])
    case .ended(let vm, let peer, let error):
      let level: Logger.Level = error.remedy == .stopVM ? .error : error.isOrderlyEnd ? .info : .warning
      logger.log(
        level: level, "session-ended",
        metadata: [
          "vm": "\(vm ?? "-")", "peer": "\(peer)", "remedy": "\(error.remedy.rawValue)", "cause": "\(error)",
        ])
    case .pointsDropped(let vm, let dropped, let overBudgetBytes):
      write(vm, dropped, overBudgetBytes)
    case .retentionFailed(let vm, let error):
      logger.warning("retention-failed", metadata: ["vm": "\(vm)", "cause": "\(error)"])
    case .verified(let vm, let outcome, let endsRound): write(vm, outcome, endsRound: endsRound)
    case .notVerified(let vm, let error):
      logger.warning("standby-not-verified", metadata: ["vm": "\(vm)", "cause": "\(error)"])
    case .statusNotKept(let error):
      logger.warning("status-not-kept", metadata: ["cause": "\(error)"])
    case .clockSkew(let peer, let seconds):
      logger.warning(
        "clocks-differ",
        metadata: ["peer": "\(peer)", "peer_ahead_seconds": "\(seconds)", "next": "\(ClockSkew.advice)"])
    case .proven(let peer, let statement, let path):
      write(statement, peer: peer, path: path)
    case .notProven(let vm, let peer, let error):
      logger.warning(
        "proof", metadata: ["vm": "\(vm)", "peer": "\(peer)", "verdict": "inconclusive", "cause": "\(error)"])
    case .storeOpened(let name):
      logger.info("store-opened", metadata: ["store": "\(name)"])
    case .storeMissing(let name, let error, let wasOpen):
      logger.error(
        wasOpen ? "store-lost" : "store-not-opened", metadata: ["store": "\(name)", "cause": "\(error)"])
    case .recovered(let store, let directory, .success(let recovery)):
      logger.info(
        "standby-recovered",
        metadata: ["store": "\(store)", "standby": "\(directory)", "outcome": "\(recovery)"])
    case .recovered(let store, let directory, .failure(let error)):
      logger.error(
        "standby-not-recovered",
        metadata: ["store": "\(store)", "standby": "\(directory)", "cause": "\(error)"])
    }
  }

  /// What the ladder does is told in one quiet line; what budget and space took is a warning.
  private func write(
    _ vm: String, _ dropped: [(point: PointReference, reason: DropReason)], _ overBudgetBytes: Int64
  ) {
    for (reason, points) in Dictionary(grouping: dropped, by: \.reason).sorted(by: {
      $0.key.rawValue < $1.key.rawValue
    }) {
      logger.log(
        level: reason == .aged ? .info : .warning, "points-dropped",
        metadata: [
          "vm": "\(vm)", "reason": "\(reason.rawValue)",
          "points": "\(points.map { "\($0.point)" }.joined(separator: " "))",
        ])
    }
    guard overBudgetBytes > 0 else { return }
    logger.warning(
      "over-budget",
      metadata: [
        "vm": "\(vm)", "over_bytes": "\(overBudgetBytes)",
        "next": "\(Self.overBudgetAdvice)",
      ])
  }

  private static let overBudgetAdvice =
    "only the oldest point gives space back, and it must stay (pinned, being read, younger than the floor, "
    + "or the newest that is sound): unpin or drop it, raise retention.budget, or lower retention.floor"

  private func write(_ vm: String, _ outcome: VerifyOutcome, endsRound: Bool) {
    let differing = outcome.reports.reduce(0) { $0 + $1.differingCount }
    var metadata: Logger.Metadata = [
      "vm": "\(vm)", "point": "\(outcome.point)", "verdict": "\(outcome.verdict.rawValue)",
      "ends_round": "\(endsRound)",
    ]
    switch outcome.verdict {
    case .identical: logger.info("standby-verified", metadata: metadata)
    case .differing:
      metadata["pages"] = "\(differing)"
      metadata["cause"] = "\(outcome.suspicion?.detail ?? "-")"
      logger.error("standby-differs", metadata: metadata)
    case .inconclusive:
      let report = outcome.reports.first { $0.verdict == .inconclusive }
      metadata["cause"] = "\(report?.unreadable.first?.cause ?? report?.obstacle ?? "-")"
      logger.error("standby-not-readable", metadata: metadata)
    }
    if let divergence = outcome.divergence {
      logger.error(
        "standby-diverged", metadata: ["vm": "\(vm)", "cause": "\(SafeText.printable(divergence.detail))"])
    }
  }
}
