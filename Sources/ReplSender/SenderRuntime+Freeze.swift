import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource
import Synchronization

/// What comes before and after a view: leftovers of earlier ones, the release, and what is told of both.
extension SenderRuntime {
  /// Undoes what freezes left that nobody holds any more; the status tells what could not be. Blocks as long
  /// as the commands take.
  func clean() {
    let vms = roster.members.map(\.vm)
    let reports = freezer.clean(vms.map { config.viewRequest($0) }) { [logger] event in
      Self.log(event, vmxPath: nil, to: logger)
    }
    let left = Dictionary(grouping: reports.filter { !$0.isRemoved }, by: \.vmxPath)
    for vm in vms { noteLeftovers(left[vm.vmxPath]?.map(\.text) ?? [], of: roster[vm.vmxPath]) }
    let known = Set(vms.map(\.vmxPath))
    // Of VMs that have left: nobody's line in the status, and still there.
    strayLeftovers.withLock {
      $0 = left.filter { !known.contains($0.key) }.values.joined().map(\.text).sorted()
    }
  }

  private func noteLeftovers(_ texts: [String], of vm: VMID) {
    board.update(vm) { $0.leftovers = texts.isEmpty ? nil : texts.joined(separator: "; ") }
  }

  /// Freezes one VM; what an earlier freeze of it left is undone first, or told.
  func takeView(_ vm: SenderConfig.VM, _ id: VMID) throws(PassError) -> VMView {
    if stop.isSet { throw .stopping }
    let complaints = Mutex<[String]>([])
    do throws(SourceError) {
      let view = try freezer.take(config.viewRequest(vm)) { [logger] event in
        if event.level == .error { complaints.withLock { $0.append(event.text) } }
        Self.log(event, vmxPath: vm.vmxPath, to: logger)
      }
      // What went wrong with this freeze is no leftover of another.
      let troubles = Set(view.troubles.map { "\($0)" })
      noteLeftovers(complaints.withLock { $0 }.filter { !troubles.contains($0) }, of: id)
      return view
    } catch {
      if case .command(_, _, .stopped) = error { throw .stopping }
      if case .leftover = error { noteLeftovers(["\(error)"], of: id) }
      throw .source(error)
    }
  }

  /// Gives the view back, whatever became of the pass, and tells how long it was held.
  func release(_ view: VMView, _ vm: SenderConfig.VM) {
    let provider = vm.freeze.provider.name
    let now = time.wallTime()
    board.update(view.vm) { status in
      status.running = VMStatus.Running(
        pass: .random(), phase: "release", startedAt: now, doneBytes: 0, totalBytes: 0, wireBytes: 0)
    }
    // Before the release, whose own failure says less.
    noteTroubles(of: view)
    do throws(SourceError) {
      let hold = try view.release()
      board.update(view.vm) { status in
        status.lastFreeze = VMStatus.Freeze(
          provider: provider, heldSeconds: hold.heldSeconds, guestHeldSeconds: hold.guestHeldSeconds,
          cloneSeconds: view.cloneSeconds)
      }
      logHold(hold, view, provider: provider)
    } catch {
      board.update(view.vm) { $0.leftovers = "\(error)" }
      noteTrouble(error, of: view, phase: "release")
      logger.error(
        "freeze-not-released",
        metadata: ["vm": "\(board[view.vm]?.name ?? "\(view.vm)")", "cause": "\(error)"])
    }
    board.update(view.vm) { $0.running = nil }
    keep(view.vm)
  }

  private func logHold(_ hold: FreezeHold, _ view: VMView, provider: String) {
    guard provider != "none" || hold.guestHeldSeconds != nil else { return }
    logger.info(
      "freeze-released",
      metadata: [
        "vm": "\(board[view.vm]?.name ?? "\(view.vm)")", "provider": "\(provider)",
        "held_seconds": "\(hold.heldSeconds)",
        "guest_held_seconds": "\(hold.guestHeldSeconds.map { "\($0)" } ?? "-")",
        "clone_seconds": "\(view.cloneSeconds.map { "\($0)" } ?? "-")",
      ])
  }

  /// What went wrong without harm to the view, such as a thaw hook that failed: the guest may stand still.
  private func noteTroubles(of view: VMView) {
    if let first = view.troubles.first { noteTrouble(first, of: view, phase: "freeze") }
  }

  /// The point is there, and the VM does not count as well until somebody looked.
  private func noteTrouble(_ error: SourceError, of view: VMView, phase: String) {
    board.update(view.vm) { status in
      // A pass that failed besides says more.
      guard status.lastFailure == nil else { return }
      status.state = .failing
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: phase, cause: "\(error)", remedy: error.remedy)
    }
  }

  /// What commands and hooks did.
  static func log(
    _ event: FreezeEvent, vmxPath: String?, to logger: Logger, as name: Logger.Message = "freeze"
  ) {
    let level: Logger.Level =
      switch event.level {
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    var metadata: Logger.Metadata = ["what": "\(event.text)"]
    if let vmxPath { metadata["vmx"] = "\(vmxPath)" }
    if let stage = event.stage { metadata["stage"] = "\(stage.rawValue)" }
    logger.log(level: level, name, metadata: metadata)
  }
}
