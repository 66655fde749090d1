import ReplIO
import ReplModel

/// What is kept for the next pass.
extension ViewHints {
  /// The pass has committed `point` and its maps are merged: keeps what the next pass needs. Until this is
  /// durable the record is of an earlier base, which fits nothing.
  public func committed(_ point: RecoveryPoint) {
    let old = shelf.keptTag(of: view.vm)
    do throws(IOError) {
      if let record = try makeRecord(point) {
        do throws(IOError) { try shelf.keep(record) } catch {
          view.held?.dropClones()
          throw error
        }
        state.withLock { $0.kept = record.kept }
      } else {
        // What was kept before goes below, most of all when space is short.
        try shelf.removeRecord(of: view.vm)
      }
    } catch {
      report(
        FreezeEvent(.warning, "what hints of the next pass need was not kept, so it reads all: \(error)"))
    }
    if let old, old != state.withLock({ $0.kept?.tag }) { freezer.dropKept(old, report) }
  }

  private func makeRecord(_ point: RecoveryPoint) throws(IOError) -> HintRecord? {
    // A fuzzy view of files that were written to on the way is of no moment that anything could be since.
    let isReflink = settings.provider == .reflink
    guard view.label != .fuzzy || isReflink else { return nil }
    let plans = state.withLock { $0.plans }
    let disks = point.disks.compactMap { member -> HintRecord.Disk? in
      guard let plan = plans[member.disk], let token = plan.answer.token else { return nil }
      let used = plan.hint.flatMap { $0.contradiction == nil ? $0 : nil }
      // One that was wrong has a record only where the next pass reads that it was, also after a restart: it
      // must not be used.
      if plan.hint != nil, used == nil, !plan.isDistrustKept { return nil }
      if shelf.hasUnwritten(member.disk, of: view.vm) { return nil }
      let turn = used?.audit.next(at: view.frozenAt) ?? HintAudit.Turn(nextSlice: 0, at: view.frozenAt)
      return HintRecord.Disk(
        disk: member.disk, slot: member.slot, grid: member.grid, turn: turn, token: token)
    }
    guard !disks.isEmpty else { return nil }
    let kept = isReflink ? try keepClones() : nil
    if isReflink, kept == nil { return nil }
    return HintRecord(
      receiver: point.receiver, vm: view.vm, provider: identity, reference: point.reference, pass: point.pass,
      disks: disks, kept: kept)
  }

  /// What the guest writes over takes space while clones are kept, and a full filesystem stops the guest.
  private func hasRoom(
    _ folders: [FreezeRecord.CloneFolder], _ clones: ViewClones
  ) throws(IOError) -> Bool {
    guard let tag = FreezeTag(view.held?.tag ?? "") else { return false }
    for folder in folders {
      let parent = try CloneFolder(folder, tag).parent
      let free = try parent.freeBytes()
      guard ViewClones.leaveRoom(freeBytes: free, allocatedBytes: clones.allocatedBytes) else {
        report(
          FreezeEvent(
            .warning,
            "\(parent.path): \(free) bytes are free, less than a tenth of what the VM's files take: no "
              + "clones are kept for hints, so the next pass reads all"))
        return false
      }
    }
    return true
  }

  private func keepClones() throws(IOError) -> HintRecord.Kept? {
    guard let held = view.held, let clones = view.clones, try hasRoom(held.cloneFolders, clones) else {
      return nil
    }
    guard let kept = try held.keepClones() else { return nil }
    return HintRecord.Kept(
      tag: kept.tag.description, since: kept.since,
      clones: clones.files.map { clone in
        HintRecord.Clone(
          directory: clone.directory, name: clone.name, folder: kept.clones[clone.folder],
          cloneName: clone.cloneName)
      }, allocatedBytes: clones.allocatedBytes)
  }
}
