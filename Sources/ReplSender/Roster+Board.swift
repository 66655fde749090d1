import ReplIO
import ReplModel
import ReplPass
import ReplService

/// The roster as `status` shows it.
extension Roster {
  /// The phase of failures that are about finding the VM.
  static let phase = "find"

  /// Puts every VM on the board, also before its first pass, and nothing else. Keeps what it says of VMs that
  /// are gone, when asked to.
  func show(on board: StatusBoard, keeps: Bool) throws(IOError) {
    var shown: Set<VMID> = []
    for member in members { shown.insert(show(member, on: board)) }
    for gone in gone where shown.insert(gone.vm).inserted { try show(gone, on: board, keeps: keeps) }
    for found in found where shown.insert(found.id).inserted { show(found, on: board) }
    board.retain(shown)
    guard keeps else { return }
    // What stood for a VM that is known by now is no VM.
    for member in members {
      let standIn = VMIdentity.standIn(for: member.vm.vmxPath)
      if !shown.contains(standIn) { try board.remove(standIn) }
    }
  }

  private func show(_ member: RosterOutcome.Member, on board: StatusBoard) -> VMID {
    let vm = member.vm
    let id = self[vm.vmxPath]
    let isKnown = id != VMIdentity.standIn(for: vm.vmxPath)
    let name = vm.name ?? (isKnown ? member.displayName : nil) ?? board[id]?.name ?? vm.vmxPath
    board.update(id, name: name, peer: board[id]?.peer, rpoSeconds: vm.rpoSeconds) { status in
      status.vmxPath = vm.vmxPath
      // It was found, or gone, and is back.
      if status.state == .found || status.lastFailure?.phase == Self.phase {
        status.lastFailure = nil
        status.state = status.restingState
      }
      status.found = nil
    }
    return id
  }

  private func show(_ gone: GoneVM, on board: StatusBoard, keeps: Bool) throws(IOError) {
    // A pass that still runs says itself how it ends.
    if board[gone.vm]?.running != nil { return }
    let known = board[gone.vm]
    let isNews = known?.lastFailure?.cause != gone.cause
    board.update(
      gone.vm, name: known?.name ?? gone.name, peer: known?.peer, rpoSeconds: known?.rpoSeconds ?? 900
    ) { status in
      status.vmxPath = gone.path
      status.found = nil
      status.state = .failing
      status.lastFailure = VMStatus.Failure(
        at: gone.at, phase: Self.phase, cause: gone.cause, remedy: .stopVM)
    }
    if keeps && isNews { try board.keep(gone.vm) }
  }

  private func show(_ found: RosterOutcome.Found, on board: StatusBoard) {
    let rpo = board[found.id]?.rpoSeconds ?? 900
    board.update(found.id, name: found.name, peer: nil, rpoSeconds: rpo) { status in
      status.state = .found
      status.vmxPath = found.path
      status.found = VMStatus.Found(folder: found.folder, configLine: ConfigLine.vm(found.path))
      let failure = found.problem.map {
        VMStatus.Failure(
          at: status.lastFailure?.at ?? time.wallTime(), phase: Self.phase, cause: $0, remedy: .stopVM)
      }
      status.lastFailure = failure
    }
  }
}
