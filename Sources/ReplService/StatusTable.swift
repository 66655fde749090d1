import ReplModel

/// A status document as an aligned table for terminals.
///
/// Names and causes come from outside: they are made printable and cut.
public enum StatusTable {
  /// Lines without a line feed behind the last. `now` is the moment for ages.
  public static func render(_ document: StatusDocument, now: WallTime) -> String {
    var lines = [heading(document)]
    lines += (document.warnings ?? []).map { "warning: \(SafeText.printable($0, limit: 512))" }
    lines += document.bandwidth.flatMap(BandwidthText.daemon).map { [$0] } ?? []
    guard !document.vms.isEmpty else { return (lines + ["no VMs"]).joined(separator: "\n") }
    let titles = ["VM", "STATE", "NEWEST POINT", "LAG", "LAST PASS", "READ", "CHANGED", "SENT"]
    let rows = aligned([titles] + document.vms.map { row($0, document.role, now: now) })
    lines.append(rows[0])
    for (vm, row) in zip(document.vms, rows.dropFirst()) {
      lines.append(row)
      if let running = vm.running {
        let rate = vm.bandwidth.map(BandwidthText.vm) ?? ""
        lines.append("  now: \(progress(running, document.role, now: now))\(rate)")
      }
      lines += ForecastText.lines(of: vm, now: now).map { "  \($0)" }
      lines += StatusNotes.lines(of: vm, now: now).map { "  \($0)" }
      if let failure = vm.lastFailure, isCurrent(failure, of: vm) {
        lines.append("  \(cause(failure, now: now))")
      }
    }
    return lines.joined(separator: "\n")
  }

  private static func heading(_ document: StatusDocument) -> String {
    let version = SafeText.printable(document.version, limit: 40)
    let state = document.daemonRunning ? "running" : "NOT RUNNING, as read from disk"
    return "\(document.role.rawValue) \(version), \(state), \(document.generatedAt)"
  }

  private static func row(_ vm: VMStatus, _ role: StatusDocument.Role, now: WallTime) -> [String] {
    let point = vm.newestPoint.map { "\($0.reference) \($0.frozenAt)" } ?? "none"
    let name = SafeText.printable(vm.name, limit: 40)
    var cells = [name, vm.state.rawValue, point, lag(vm, now: now)]
    if let pass = vm.lastPass {
      cells += [AmountText.duration(seconds: pass.durationSeconds)]
      // Only the sender reads the source's disks.
      cells += [role == .sender ? AmountText.size(bytes: pass.readBytes) : "-"]
      cells += [pass.changedBytes, pass.wireBytes].map { AmountText.size(bytes: $0) }
    } else {
      cells += ["-", "-", "-", "-"]
    }
    return cells
  }

  /// The age of the newest point and what the objective says of it.
  private static func lag(_ vm: VMStatus, now: WallTime) -> String {
    if vm.state == .found { return "-" }
    guard let lag = vm.lagSeconds(now: now) else {
      return vm.fuzzyPoint == nil ? "no point yet" : "fuzzy points only"
    }
    let judgement = lag <= vm.rpoSeconds ? "ok" : "LATE, rpo \(AmountText.duration(seconds: vm.rpoSeconds))"
    return "\(AmountText.duration(seconds: lag)) (\(judgement))"
  }

  private static func progress(
    _ running: VMStatus.Running, _ role: StatusDocument.Role, now: WallTime
  ) -> String {
    let phase = SafeText.printable(running.phase, limit: 32)
    let time = AmountText.duration(seconds: now.seconds(since: running.startedAt))
    let moved = AmountText.size(bytes: running.wireBytes) + (role == .sender ? " sent" : " received")
    guard running.totalBytes > 0 else { return "\(phase), \(time), \(moved)" }
    let percent = Int(
      Double(max(0, min(running.doneBytes, running.totalBytes))) / Double(running.totalBytes) * 100)
    let (done, total) = (
      AmountText.size(bytes: running.doneBytes), AmountText.size(bytes: running.totalBytes)
    )
    return "\(phase) \(percent)% (\(done) of \(total)), \(time), \(moved)"
  }

  /// A failure that a later pass has made good is history, not news.
  private static func isCurrent(_ failure: VMStatus.Failure, of vm: VMStatus) -> Bool {
    guard vm.state != .failing, vm.state != .stopped, vm.state != .diverged, vm.state != .suspect else {
      return true
    }
    return vm.lastPass.map { $0.startedAt < failure.at } ?? true
  }

  private static func cause(_ failure: VMStatus.Failure, now: WallTime) -> String {
    let age = AmountText.duration(seconds: now.seconds(since: failure.at))
    let phase = SafeText.printable(failure.phase, limit: 32)
    let next =
      switch failure.remedy {
      case .retryPass, .abandonPass: "tries again by itself"
      case .stopVM: "waits for you"
      }
    return "error \(age) ago in \(phase): \(SafeText.printable(failure.cause, limit: 512)) [\(next)]"
  }

  /// Columns padded to their widest cell, two blanks apart, nothing behind the last.
  private static func aligned(_ rows: [[String]]) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        line += cell
        if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
      }
      return line
    }
  }
}
