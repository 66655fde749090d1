import ReplIO
import ReplModel

extension Standby {
  /// Brings the disks of a fenced standby to another kept point, or back to the newest. What was in the disks
  /// is saved in a redo file first, so that the newest point is not lost. Cut off anywhere, it is done again.
  ///
  /// Throws `.pointRefused` when the standby is not fenced or the point is not kept, `.pointLost` when an
  /// undo file is damaged, and `.diverged` when somebody wrote the disks since they were brought to their
  /// point: a VM that was started, most likely. The disks are as they were then. `takesChanged`: writes them
  /// all the same; what the VM wrote elsewhere stays in between.
  public func goTo(
    _ reference: PointReference, takesChanged: Bool = false, note: (String) -> Void = { _ in }
  ) throws(StandbyError) {
    guard catalog.fence != nil else {
      throw .pointRefused(detail: "only a standby that was fenced can go to another recovery point")
    }
    guard catalog.kept(reference) != nil, let newest = catalog.newest?.reference else {
      throw .pointRefused(detail: "recovery point \(reference) is not kept: see the list of points")
    }
    let isCutOff = try isBetweenPoints()
    let isElsewhere = catalog.heldPoint?.reference != reference || isCutOff
    // A step that was cut off has written the disks itself.
    if isElsewhere, !isCutOff, !takesChanged { try checkLeft(for: try kept(reference)) }
    // Durably before the first page, so that whoever goes on goes to the same point.
    if catalog.fence?.point != reference {
      try update { $0.fence = $0.fence?.replacing(point: reference) }
    }
    guard isElsewhere else { return }
    // From wherever the disks are (a step may have been cut off) to the newest, then down.
    try redoToNewest(newest, note)
    if reference != newest { try goBack(to: reference, from: newest, note) }
  }

  /// Whether the disks are between two points: a step of ours was cut off.
  public func isBetweenPoints() throws(StandbyError) -> Bool {
    try storing { () throws(IOError) in try home.directory.contains(StandbyLayout.settlingFile) }
  }

  /// Throws `.diverged` when a disk that going to a point writes is not as it was left.
  private func checkLeft(for target: KeptPoint) throws(StandbyError) {
    let members = newestMembers(besides: target.point.disks.map(\.disk))
    for (disk, file) in try openDisks(members) {
      guard let entry = catalog.disk(disk) else { continue }
      try checkUntouched(entry, file)
    }
  }

  // MARK: - Back to the newest

  private func redoToNewest(_ newest: PointReference, _ note: (String) -> Void) throws(StandbyError) {
    let name = StandbyLayout.redo(to: newest)
    guard try storing({ () throws(IOError) in try home.points.contains(name) }) else {
      // Without a sealed redo file no disk was written.
      return
    }
    note("bringing the disks back to the newest point \(newest)")
    let redo = try RedoFile.open(to: newest, in: home.points)
    try writeMarker(of: newest)
    let members = newestMembers(besides: redo.disks.map(\.disk))
    let files = try openDisks(members)
    // Durable before anything is written behind an older end: else a crash could leave a size in between.
    for member in members {
      try storing { () throws(IOError) in
        try files[member.disk]?.truncate(to: member.grid.sizeBytes)
        try files[member.disk]?.sync()
      }
    }
    try UndoChain(target: newest, files: [redo]).apply(to: { files[$0] })
    try finishReturn(files, held: nil)
    try removeMarker()
    try storing { () throws(IOError) in
      try home.points.removeFile(name)
      try home.points.sync()
    }
  }

  // MARK: - To an older point

  private func goBack(
    to reference: PointReference, from newest: PointReference, _ note: (String) -> Void
  ) throws(StandbyError) {
    let chain = try UndoChain.open(to: reference, isNewest: false, in: home.points)
    // Every file is read to its seal before the first page is written.
    for undo in chain.files { try undo.forEach { (batch, _) throws(StandbyError) in _ = batch } }
    note("saving what the newest point has and point \(reference) has not")
    let target = try kept(reference).point
    let members = newestMembers(besides: target.disks.map(\.disk))
    let files = try openDisks(members)
    try RedoCapture(
      points: home.points, chain: chain, newest: try kept(newest).point, members: members, target: target,
      files: files
    ).run()
    note("bringing the disks to point \(reference)")
    try writeMarker(of: reference)
    let older = catalog.disks(of: try kept(reference))
    let all = try openDisks(older, besides: files)
    try chain.apply(to: { all[$0] })
    for member in older {
      try storing { () throws(IOError) in try all[member.disk]?.truncate(to: member.grid.sizeBytes) }
    }
    try finishReturn(all, held: reference)
    try removeMarker()
  }

  /// The disks of the newest point, and of `others` those that it has not: what is in those belongs to the
  /// way back as well. As the disks are while they hold the newest point.
  private func newestMembers(besides others: [DiskID]) -> [CatalogDisk] {
    let members = catalog.kept.last.map { catalog.disks(of: $0) } ?? []
    let known = Set(members.map(\.disk))
    return members + catalog.disks.filter { others.contains($0.disk) && !known.contains($0.disk) }
  }

  private func kept(_ reference: PointReference) throws(StandbyError) -> KeptPoint {
    guard let kept = catalog.kept(reference) else {
      throw .pointRefused(detail: "recovery point \(reference) is not kept")
    }
    return kept
  }

  /// A step that was cut off may have left a disk in the size of any kept point. A device has no size of its
  /// own: there the disk is opened in that of its point, and nothing of it is behind its end.
  private func openDisks(
    _ members: [CatalogDisk], besides known: [DiskID: any StorageFile] = [:]
  ) throws(StandbyError) -> [DiskID: any StorageFile] {
    var files = known
    for member in members where files[member.disk] == nil {
      let grids = catalog.points.compactMap { $0.disk(member.disk)?.grid }
      files[member.disk] = try openDiskFile(member, .readWrite, of: [member.grid] + grids)
    }
    return files
  }

  /// The point that the disks hold and the files as they were left are noted at once: either alone would look
  /// as if somebody else had written them.
  private func finishReturn(
    _ files: [DiskID: any StorageFile], held reference: PointReference?
  ) throws(StandbyError) {
    var left: [DiskID: FileGeneration] = [:]
    for (disk, file) in files {
      left[disk] = try storing { () throws(IOError) in
        try file.syncWithTimes()
        return try file.generation()
      }
    }
    try update { catalog in
      catalog.held = reference
      for index in catalog.disks.indices {
        if let mark = left[catalog.disks[index].disk] { catalog.disks[index].generation = mark }
      }
    }
  }

  private func writeMarker(of reference: PointReference) throws(StandbyError) {
    let text = """
      The disks in this directory are between two recovery points.

      vmrepl is bringing them to recovery point \(reference) for a failover (VM \(catalog.vm)).
      Do not start, copy or check this VM while this file is here.

      To finish: run "repl-receiver failover \(catalog.vm) --point \(reference)" again.

      """
    try storing { () throws(IOError) in
      try home.directory.replaceFile(StandbyLayout.settlingFile, with: Array(text.utf8))
    }
  }

  private func removeMarker() throws(StandbyError) {
    try storing { () throws(IOError) in
      if try home.directory.contains(StandbyLayout.settlingFile) {
        try home.directory.removeFile(StandbyLayout.settlingFile)
      }
      try home.directory.sync()
    }
  }
}

extension Catalog.Fence {
  fileprivate func replacing(point: PointReference) -> Catalog.Fence {
    Catalog.Fence(epoch: epoch, at: at, reason: reason, point: point)
  }
}
