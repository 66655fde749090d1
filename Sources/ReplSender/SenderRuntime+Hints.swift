import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource

/// The change hints of passes: made, told, and what is kept for them taken away.
extension SenderRuntime {
  /// Nil where the VM has none; what was kept for them is removed then.
  func makeHints(_ view: VMView, _ vm: SenderConfig.VM) -> ViewHints? {
    guard vm.hints.provider != .none else {
      do throws(IOError) { try shelf.removeRecord(of: view.vm) } catch {
        logger.warning("hints-not-removed", metadata: ["vm": "\(view.displayName)", "cause": "\(error)"])
      }
      return nil
    }
    return ViewHints(
      of: view, request: config.viewRequest(vm), freezer: freezer, shelf: shelf,
      isStopping: { [stop] in stop.isSet }
    ) { [logger] event in
      Self.log(event, vmxPath: vm.vmxPath, to: logger, as: "hint")
    }
  }

  /// The pass has committed: what its hints did. The reason why a disk was read in full is news once.
  func noteHints(_ hints: ViewHints?, _ view: VMView, name: String) {
    guard let hints else { return board.update(view.vm) { $0.hint = nil } }
    let before = board[view.vm]?.hint
    let disks = hints.outcomes.map { outcome in
      VMStatus.Hint.Disk(
        slot: outcome.slot, refusal: outcome.refusal, changedBytes: outcome.changedBytes,
        auditedBytes: outcome.auditedBytes, contradictionOffset: outcome.contradictionOffset)
    }
    let kept = hints.kept
    let hint = VMStatus.Hint(
      source: hints.source, disks: disks,
      contradictions: hints.contradictionCount ?? before?.contradictions ?? 0, keptSince: kept?.since,
      keptBytes: kept?.bytes)
    board.update(view.vm) { $0.hint = hint }
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
