import ReplDigest
import ReplModel
import ReplProtocol
import ReplSource

extension SourceDisks {
  /// A hint for each disk, nil where all of it is read. A hint is used only where the base map is that of the
  /// receiver's newest point.
  func hints(_ hints: ViewHints?, _ maps: [SourceDiskMaps], _ accept: Accept) -> [ChangeHint?] {
    guard let hints else { return disks.map { _ in nil } }
    let base = accept.newest.map {
      ViewHints.Base(receiver: accept.receiver, reference: $0.reference, pass: $0.pass)
    }
    let asked = disks.indices.map { index in
      let isMember = accept.newest?.disks?.contains(disks[index].id) ?? true
      let isBase = base.map { maps[index].base.state == .at($0.reference, pass: $0.pass) } ?? false
      return ViewHints.Asked(disk: disks[index], grid: grids[index], isBaseMap: isBase && isMember)
    }
    return hints.hints(for: asked, base: base)
  }

  /// One for each disk, the same at every connection: what was found wrong stays so until the pass ends.
  func holeAudits(_ hints: ViewHints?, _ accept: Accept) -> [HoleAudit] {
    let known = audits.withLock { $0 }
    if !known.isEmpty { return known }
    let turn = accept.newest?.reference.number ?? 0
    let fresh = zip(disks, grids).map { disk, grid in
      let audit = HoleAudit(grid: grid, turn: turn)
      if hints?.trustsHoles(of: disk.id) == false { audit.distrust() }
      return audit
    }
    audits.withLock { $0 = fresh }
    return fresh
  }

  /// Disks whose hint, or whose holes, were found wrong are to be read in full: goes back to the first of
  /// them. False when there is none.
  func restart(_ disks: inout [ScanDisk], _ hints: ViewHints?) -> Bool {
    let wrong = hints?.newContradictions() ?? []
    let indices = self.disks.indices.filter { index in
      let audit = disks[index].holes
      guard audit.isTrusted, let offset = audit.contradiction else {
        return wrong.contains(self.disks[index].id)
      }
      audit.distrust()
      hints?.distrustHoles(of: self.disks[index].id, self.disks[index].slot, at: offset)
      return true
    }
    guard let first = indices.first else { return false }
    for index in indices { disks[index] = disks[index].withoutHint }
    tracker.goBack(to: leafNumber(disk: first, page: 0))
    return true
  }
}
