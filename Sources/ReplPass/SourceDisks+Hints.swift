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

  /// Takes the hints from `wrong` disks and goes back to the first of them. False when there is none.
  func restart(_ disks: inout [ScanDisk], after wrong: [DiskID]) -> Bool {
    let indices = self.disks.indices.filter { wrong.contains(self.disks[$0].id) }
    guard let first = indices.first else { return false }
    for index in indices { disks[index] = disks[index].withoutHint }
    tracker.goBack(to: leafNumber(disk: first, page: 0))
    return true
  }
}
