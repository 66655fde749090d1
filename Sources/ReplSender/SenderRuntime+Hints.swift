import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource

/// The change hints of passes: made, told, and what is kept for them taken away.
extension SenderRuntime {
  /// Where the VM has none, only what its storage says of holes is judged; what was kept for hints is removed
  /// then.
  func makeHints(_ view: VMView, _ vm: SenderConfig.VM) -> ViewHints {
    if vm.hints.provider == .none {
      do throws(IOError) { try shelf.removeRecord(of: view.vm) } catch {
        logger.warning("hints-not-removed", metadata: ["vm": "\(view.displayName)", "cause": "\(error)"])
      }
    }
    return ViewHints(
      of: view, request: config.viewRequest(vm), freezer: freezer, shelf: shelf,
      isStopping: { [stop] in stop.isSet }
    ) { [logger] event in
      Self.log(event, vmxPath: vm.vmxPath, to: logger, as: "hint")
    }
  }

  /// The pass has committed: what its hints did. The reason why a disk was read in full is news once.
  func noteHints(_ hints: ViewHints, _ view: VMView, name: String) {
    let before = board[view.vm]?.hint
    let outcomes = hints.outcomes.filter { hints.isConfigured || $0.holeRefusal != nil }
    let disks = outcomes.map { outcome in
      VMStatus.Hint.Disk(
        slot: outcome.slot, refusal: outcome.refusal, changedBytes: outcome.changedBytes,
        auditedBytes: outcome.auditedBytes, contradictionOffset: outcome.contradictionOffset,
        holeRefusal: outcome.holeRefusal, holeOffset: outcome.holeOffset)
    }
    let kept = hints.kept
    let contradictions = hints.contradictionCount ?? before?.contradictions ?? 0
    guard hints.isConfigured || !disks.isEmpty || contradictions > 0 else {
      return board.update(view.vm) { $0.hint = nil }
    }
    let hint = VMStatus.Hint(
      source: hints.source, disks: disks, contradictions: contradictions, keptSince: kept?.since,
      keptBytes: kept?.bytes)
    board.update(view.vm) { $0.hint = hint }
    guard hints.isConfigured else { return }
    for disk in disks {
      guard let refusal = disk.refusal,
        refusal != before?.disks.first(where: { $0.slot == disk.slot })?.refusal
      else { continue }
      logger.notice(
        "hint-not-used", metadata: ["vm": "\(name)", "disk": "\(disk.slot)", "cause": "\(refusal)"])
    }
    logger.info(
      "hints",
      metadata: [
        "vm": "\(name)", "source": "\(hint.source)", "used": "\(disks.count { $0.refusal == nil })",
        "changed_bytes": "\(disks.reduce(Int64(0)) { $0 + ($1.changedBytes ?? 0) })",
        "audited_bytes": "\(disks.reduce(Int64(0)) { $0 + $1.auditedBytes })",
      ])
  }

  /// VMs have left: nobody will use the clones that are kept of them.
  func cleanKeptClones() {
    freezer.cleanKept(roster.members.map { config.viewRequest($0.vm) }) { [logger] event in
      Self.log(event, vmxPath: nil, to: logger)
    }
  }
}
