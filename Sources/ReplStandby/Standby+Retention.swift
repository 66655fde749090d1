import ReplIO
import ReplModel

/// What retention did.
public struct RetentionReport: Sendable {
  /// Older first.
  public internal(set) var dropped: [(point: PointReference, reason: DropReason)] = []
  /// The budget for undo files is exceeded, and every point that is left must stay: by so many bytes.
  public internal(set) var overBudgetBytes: Int64 = 0
}

extension Standby {
  var holds: PointHolds { PointHolds(points: home.points) }

  /// Drops the points that the policy does not ask for any more, and gives their space back. For after a
  /// settling. Cut off anywhere, the next call goes on: a point leaves the catalog first, its undo file
  /// after.
  ///
  /// A promoted standby keeps all its points.
  public func applyRetention() throws(StandbyError) -> RetentionReport {
    var report = RetentionReport()
    guard catalog.fence == nil else { return report }
    if case .failure(let error) = recovery { throw error }
    let lock = try holds.lock()
    let plan = try retentionPlan()
    let drops = plan.drops()
    try drop(Set(drops.keys))
    report.dropped = drops.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    withExtendedLifetime(lock) {}
    try tidyUndoFiles()
    let total = try undoSizes().values.reduce(0, +)
    if let budget = plan.policy.budgetBytes { report.overBudgetBytes = max(0, total - budget) }
    return report
  }

  /// Points that ended during a pass and that no report has named yet, in their order.
  public func takeDropped() -> [(point: PointReference, reason: DropReason)] {
    defer { droppedInPass = [] }
    return droppedInPass
  }

  /// Drops the oldest points that may go until `neededBytes` are free above the floor. Where all of them
  /// together would not give that much, none goes: what comes is refused, and nothing is lost.
  func makeRoom(_ neededBytes: Int64) throws(StandbyError) {
    let lock = try holds.lock()
    defer { withExtendedLifetime(lock) {} }
    try removeLeftovers()
    let droppable = try retentionPlan().droppableForSpace()
    guard !droppable.isEmpty else { return }
    let stays = catalog.kept[droppable.count].reference
    let gain = try undoSizes().filter { $0.key < stays }.values.reduce(0, +)
    guard try spareBytes() + gain >= neededBytes else { return }
    for reference in droppable {
      if try spareBytes() >= neededBytes { break }
      try drop([reference])
      droppedInPass.append((reference, .space))
      try removeOldEnd()
    }
  }

  /// As `freeBytesAboveFloor`, below zero where the floor is reached into.
  private func spareBytes() throws(StandbyError) -> Int64 {
    let free = try storing { () throws(IOError) in try home.directory.freeBytes() }
    return free - store.freeSpaceFloorBytes - store.ledger.promisedBytes
  }

  /// Drops one point for good, as the operator says. Refuses with `.pointRefused` the newest, the promoted,
  /// and one that is pinned or being read.
  public func dropPoint(_ reference: PointReference) throws(StandbyError) {
    if case .failure(let error) = recovery { throw error }
    try checkFence()
    let lock = try holds.lock()
    guard catalog.kept(reference) != nil else {
      throw .pointRefused(detail: "recovery point \(reference) is not kept")
    }
    guard reference != catalog.newest?.reference else {
      throw .pointRefused(detail: "recovery point \(reference) is the newest: it is never dropped")
    }
    guard try holds.pins()[reference] == nil, try !holds.held().contains(reference) else {
      throw .pointRefused(
        detail: "recovery point \(reference) is pinned, or being read: unpin it, or wait for the reader")
    }
    try drop([reference])
    withExtendedLifetime(lock) {}
    try tidyUndoFiles()
  }

  func retentionPlan() throws(StandbyError) -> RetentionPlan {
    var needed = Set(try holds.pins().keys).union(try holds.held())
    if let held = catalog.held { needed.insert(held) }
    return RetentionPlan(
      policy: store.retention(catalog), points: catalog.points, needed: needed,
      undoBytes: try undoSizes(), now: store.time.wallTime())
  }

  private func undoSizes() throws(StandbyError) -> [PointReference: Int64] {
    var sizes: [PointReference: Int64] = [:]
    for reference in try UndoFile.references(in: home.points) {
      sizes[reference] = try storing { () throws(IOError) in
        try home.points.openFile(StandbyLayout.undo(backTo: reference), .read).currentSizeBytes()
      }
    }
    return sizes
  }

  func drop(_ references: Set<PointReference>) throws(StandbyError) {
    guard catalog.kept.contains(where: { references.contains($0.reference) }) else { return }
    try update { catalog in catalog.kept.removeAll { references.contains($0.reference) } }
  }

  /// Gives back what no kept point needs: undo files before the oldest point, those of points that were
  /// dropped in the middle (merged first), leftovers, and files of points that are gone.
  func tidyUndoFiles() throws(StandbyError) {
    try removeLeftovers()
    guard !catalog.kept.isEmpty else { return }
    try removeOldEnd()
    let steps = try UndoFile.references(in: home.points)
    for (older, newer) in zip(catalog.kept, catalog.kept.dropFirst()) {
      let dropped = steps.filter { $0 > older.reference && $0 < newer.reference }
      if !dropped.isEmpty { try merge(dropped, into: older.point) }
    }
    try holds.forget(allBut: Set(catalog.points.map(\.reference)))
    let files = catalog.kept.flatMap { [$0.vmxHash, $0.nvramHash] }.compactMap { $0 }
    try home.sources.removeAll(but: passFiles.union(files))
  }

  /// Removes undo files that lead back further than the oldest point.
  private func removeOldEnd() throws(StandbyError) {
    // What leads back from the newest point is never older than it; without others all older ones can go.
    guard let oldest = catalog.kept.first?.reference else { return }
    try remove(try UndoFile.references(in: home.points).filter { $0 < oldest })
  }

  /// Where a file is damaged nothing is merged: the points that lie behind it are marked, and the files stay
  /// until those are gone.
  private func merge(_ dropped: [PointReference], into point: RecoveryPoint) throws(StandbyError) {
    guard catalog.kept(point.reference)?.hasLostWay == false else { return }
    do throws(StandbyError) {
      try mergeWhole(dropped, into: point)
    } catch {
      guard case .pointLost(let step, let detail) = error else { throw error }
      try update { $0.markLostWay(through: step, detail: detail) }
    }
  }

  /// Where there is no room for the merged file the others stay: they lead back as well.
  private func mergeWhole(_ dropped: [PointReference], into point: RecoveryPoint) throws(StandbyError) {
    guard let older = try UndoFile.open(backTo: point.reference, in: home.points) else { return }
    var later: [UndoFile] = []
    for reference in dropped {
      guard let file = try UndoFile.open(backTo: reference, in: home.points) else { continue }
      later.append(file)
    }
    let needed = try UndoChain(target: point.reference, files: later + [older]).sizeBytes
    let reservation: SpaceReservation
    do throws(StandbyError) { reservation = try reserveSpace(needed) } catch {
      guard error.isOutOfSpace else { throw error }
      return
    }
    defer { withExtendedLifetime(reservation) {} }
    try UndoMerge(points: home.points, kept: point, older: older, later: later).run()
    try remove(dropped)
  }

  private func remove(_ references: [PointReference]) throws(StandbyError) {
    guard !references.isEmpty else { return }
    try storing { () throws(IOError) in
      for reference in references { try home.points.removeFile(StandbyLayout.undo(backTo: reference)) }
      try home.points.sync()
    }
  }

  private func removeLeftovers() throws(StandbyError) {
    try storing { () throws(IOError) in
      for name in try home.points.entryNames()
      where name.hasSuffix(StandbyLayout.unsealedSuffix) || name == StandbyLayout.growthProbe {
        try home.points.removeFile(name)
      }
    }
  }
}
