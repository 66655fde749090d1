import ReplIO
import ReplModel

extension Standby {
  /// Drops the oldest points that may go until the catalog with the point of `record` is not too large.
  /// Throws `.catalogFull` when there are not enough of those; then nothing was dropped.
  func makeCatalogRoom(for record: CommitRecord) throws(StandbyError) {
    guard try mayBeTooLarge(with: record) else { return }
    let coming = next(with: record)
    var needed = try RecordJSON.encode(coming).count
    var dropped: [PointReference] = []
    let lock = try holds.lock()
    for reference in try retentionPlan().droppableForSpace() where needed > Limits.catalogCommitBytes {
      guard let kept = coming.kept(reference) else { continue }
      needed -= try RecordJSON.encode(kept).count
      dropped.append(reference)
    }
    guard needed <= Limits.catalogCommitBytes else {
      throw .catalogFull(
        path: "\(home.privateDirectory.path)/\(StandbyLayout.catalog)", neededBytes: needed,
        limitBytes: Limits.catalogCommitBytes)
    }
    if dropped.isEmpty { return }
    try drop(Set(dropped))
    withExtendedLifetime(lock) {}
    droppedInPass += dropped.map { ($0, .space) }
    try tidyUndoFiles()
  }

  /// By what is cheap to know: most catalogs are far from it.
  private func mayBeTooLarge(with record: CommitRecord) throws(StandbyError) -> Bool {
    let now = try storing { () throws(IOError) in
      try home.privateDirectory.openFile(StandbyLayout.catalog, .read).currentSizeBytes()
    }
    let facts = try RecordJSON.encode(catalog.disks.map(\.facts)).count
    // The facts stand twice in what comes: as the disks' and as the record's.
    let added = try facts * catalog.kept.count + 2 * RecordJSON.encode(record).count
    return now + Int64(added) > Int64(Limits.catalogCommitBytes)
  }

  /// The catalog that settling will write.
  private func next(with record: CommitRecord) -> Catalog {
    var next = catalog
    next.take(record, disks: record.settledDisks(catalog.disks))
    return next
  }
}

extension Catalog {
  /// The disks become those of a new point.
  mutating func take(_ record: CommitRecord, disks next: [CatalogDisk]) {
    keepFacts(before: next)
    kept.append(
      KeptPoint(point: record.point, vmxHash: record.vmxHash, nvramHash: record.nvramHash, facts: []))
    (disks, displayName) = (next, record.displayName)
  }
}
