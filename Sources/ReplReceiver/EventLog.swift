import Logging
import ReplModel
import ReplPass

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
      let level: Logger.Level = error.remedy == .stopVM ? .error : .warning
      logger.log(
        level: level, "session-ended",
        metadata: [
          "vm": "\(vm ?? "-")", "peer": "\(peer)", "remedy": "\(error.remedy.rawValue)", "cause": "\(error)",
        ])
    case .statusNotKept(let error):
      logger.warning("status-not-kept", metadata: ["cause": "\(error)"])
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
}
