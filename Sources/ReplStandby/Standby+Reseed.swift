import ReplIO
import ReplModel

extension Catalog {
  /// Points that ended because the copy began anew. Numbers go on behind them: no two points of a standby
  /// have the same one.
  public struct Ended: Sendable, Hashable, Codable {
    public let reference: PointReference
    public let at: WallTime
    /// What belonged to them is removed.
    var isCleared: Bool
  }
}

extension Standby {
  /// Begins the copy anew: all recovery points end, and what is on the disks is a head start of which only
  /// differences travel. Throws `.fenced` for a promoted standby, `.inUse` for a running one.
  ///
  /// In this order, so that a crash anywhere leaves the points or a standby without points: the VMX goes, for
  /// there is none before the first point; the catalog says that the points have ended; what belonged to them
  /// is removed, which the next open does as well.
  public func reseed() throws(StandbyError) {
    try checkFence()
    try checkNotHeld()
    guard let newest = catalog.newest else { return }
    try storing { () throws(IOError) in
      let name = "\(catalog.slug).vmx"
      if try home.directory.contains(name) { try home.directory.removeFile(name) }
      // Also when it was gone already: its removal may not have been durable.
      try home.directory.sync()
    }
    let last = try lastCommitted(besides: newest.reference)
    let now = store.time.wallTime()
    try update { catalog in
      catalog.ended = Catalog.Ended(reference: last, at: now, isCleared: false)
      (catalog.kept, catalog.held) = ([], nil)
      (catalog.divergence, catalog.suspicion) = (nil, nil)
      for index in catalog.disks.indices where catalog.disks[index].state == .ready {
        catalog.disks[index].state = .seeding
        catalog.disks[index].generation = nil
      }
    }
    try clearEnded()
    recovery = .success(.discarded)
  }

  /// The newest point that may exist: one that is committed and not settled counts.
  private func lastCommitted(besides newest: PointReference) throws(StandbyError) -> PointReference {
    var last = newest
    for name in try journalNames() {
      // One that is damaged may hold a commit: of the point behind the newest.
      let commit = Result { () throws(StandbyError) in try JournalScan(name, in: home.journals).commit }
      switch commit {
      case .success(let commit): last = max(last, commit?.point.reference ?? last)
      case .failure: last = max(last, PointReference(epoch: newest.epoch, number: newest.number + 1))
      }
    }
    return last
  }

  /// Removes what belonged to points that have ended. Part of every open until it is done.
  func clearEnded() throws(StandbyError) {
    guard let ended = catalog.ended, !ended.isCleared else { return }
    for name in try journalNames() { try dropJournal(name) }
    try storing { () throws(IOError) in
      for name in try home.points.entryNames() { try home.points.removeFile(name) }
      try home.points.sync()
      if try home.directory.contains(StandbyLayout.settlingFile) {
        try home.directory.removeFile(StandbyLayout.settlingFile)
      }
      try home.directory.sync()
    }
    try WantedList().save(in: home.privateDirectory)
    try storing { () throws(IOError) in
      for disk in catalog.disks where disk.state == .seeding {
        for name in StandbyLayout.mapFiles(of: disk.disk) where try maps.contains(name) {
          try maps.removeFile(name)
        }
      }
      try maps.sync()
    }
    try update { $0.ended?.isCleared = true }
  }
}
