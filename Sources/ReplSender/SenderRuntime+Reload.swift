import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService

/// The configuration, read again while the daemon runs (SIGHUP).
extension SenderRuntime {
  /// What became of the configuration on disk.
  struct Reloads: Sendable {
    /// Why the one that was read last is not in force; nil when it is.
    var refusal: String?
    /// Keys whose new values wait for the next start.
    var waiting: [String] = []
  }

  /// Reads the configuration and puts it in force: limits at once, the rest with the next pass or look.
  /// One that is wrong changes nothing. False when nothing was changed.
  @discardableResult
  func reload(from path: String) -> Bool {
    let new: SenderConfig
    do throws(ConfigError) { new = try SenderConfig.load(path: path) } catch {
      refuse(error)
      return false
    }
    let (config, waiting) = new.taken(by: self.config)
    current.withLock { $0 = config }
    reloads.withLock { $0 = Reloads(waiting: waiting) }
    output.level = config.logLevel
    bandwidth.use(config.bandwidth)
    roster.use(config)
    useBandwidthOfMembers()
    // On its own thread: a storage that does not answer must not hold up the next reload.
    wantLook()
    logger.notice(
      "reloaded",
      metadata: [
        "vms": "\(config.vms.count)", "folders": "\(config.folders.count)",
        "at_next_start": "\(waiting.isEmpty ? "-" : waiting.joined(separator: ","))",
      ])
    return true
  }

  /// Passes that run get the new limit and the new RPO as well.
  private func useBandwidthOfMembers() {
    for member in roster.members {
      let path = member.vm.vmxPath
      bandwidth.use(inForce(member.vm).bandwidth, for: path)
      noteDeadline(member.vm, roster[path])
    }
  }

  /// The VM as the configuration has it now. One that was taken for a pass may be older, and so is the
  /// roster's until the look after a reload has ended.
  func inForce(_ vm: SenderConfig.VM) -> SenderConfig.VM {
    let config = self.config
    if let named = config.vms.first(where: { $0.vmxPath == vm.vmxPath }) { return named }
    let member = roster.members.first { $0.vm.vmxPath == vm.vmxPath }
    let folder = config.folders.first { $0.watched.path == member?.folder }
    return folder?.vm(at: vm.vmxPath) ?? vm
  }

  private func refuse(_ error: ConfigError) {
    let first = error.problems.first
    let place = first?.position.map { "\($0.line):\($0.column): " } ?? ""
    let text =
      "\(error.path) was refused at \(time.wallTime()), and the configuration of before stays in force: "
      + "\(error.problems.count) problem(s), the first: \(place)\(first?.message ?? "-"); "
      + "`repl-sender config check` shows all"
    reloads.withLock { $0.refusal = text }
    for line in error.description.split(separator: "\n") {
      logger.error("reload-refused", metadata: ["cause": "\(line)"])
    }
  }

  /// For the status, until the configuration on disk is the one in force.
  var reloadWarnings: [String] {
    let reloads = reloads.withLock { $0 }
    var warnings: [String] = reloads.refusal.map { [$0] } ?? []
    if !reloads.waiting.isEmpty {
      let keys = reloads.waiting.joined(separator: ", ")
      warnings.append("changed in the configuration and in force at the next start only: \(keys)")
    }
    return warnings
  }
}
