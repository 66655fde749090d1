import ReplDigest
import ReplIO
import ReplModel

extension IncomingPass {
  /// Commits: after this returns the recovery point exists, whatever happens. The disks follow with `settle`.
  ///
  /// Refuses with `.countMismatch`, `.rootMismatch` or `.damagedFile` when what is here is not what the
  /// source says, and with `.outOfSpace` when undo file and growth would not fit.
  public func commit(_ claims: CommitClaims) throws(StandbyError) -> RecoveryPoint {
    try requireOpen()
    do throws(StandbyError) {
      try standby.checkFailoverRequest()
      try checkClaims(claims)
    } catch {
      fail(error)
      throw error
    }
    // Everything before the commit record is durable before it is written: a commit record in a journal
    // vouches for all of that journal.
    try syncAll()
    let record = makeRecord(claims)
    do throws(StandbyError) {
      for (target, claim) in zip(targets, claims.disks) {
        let reference = record.point.reference
        try (target as? SeedingDisk)?.finish(at: reference, pass: offer.pass, root: claim.root)
      }
      try standby.makeCatalogRoom(for: record)
      // Makes room where there is none, and with points their files go: looked for after that.
      try checkSpace()
      try checkFiles(record)
      // Once more, as late as can be: a fence raised meanwhile wins.
      try standby.checkFence()
    } catch {
      fail(error)
      throw error
    }
    try write(record)
    committed = record
    return record.point
  }

  private func write(_ record: CommitRecord) throws(StandbyError) {
    do throws(StandbyError) {
      let json = try RecordJSON.encode(record)
      guard json.count <= Limits.recordBodyBytes else {
        throw .badOffer(detail: "the commit record would have \(json.count) bytes")
      }
      try json.reading { (bytes) throws(StandbyError) in try journal.append(.commit, [bytes]) }
      // COMMIT POINT: before, the standby is at the base point and this journal can be dropped; after, the
      // new point exists, and recovery brings it into the disks from this journal alone.
      try journal.sync()
    } catch {
      // The record may be on the medium or not. Nobody is told that the point exists; a crash may still bring
      // it about.
      fail(error, keepsJournal: false)
      standby.dropSuspectJournal(journalName)
      throw error
    }
  }

  /// Brings the committed point into disks, maps, files and catalog. After a failure it is done again when
  /// the standby is opened the next time. Answers which disks' maps could not be brought along, and why: no
  /// harm, the next pass makes them anew from the disks.
  @discardableResult public func settle() throws(StandbyError) -> [DiskID: StandbyError] {
    guard let committed else { throw .passEnded(detail: "it is not committed") }
    guard let reader = try RecordReader.open(journal.file) else {
      throw .journalDamaged(path: journal.file.path, detail: "its header does not read back")
    }
    var live: [DiskID: MapOverlay] = [:]
    for target in targets where target is JournalledDisk { live[target.offered.disk] = target.overlay }
    let settling = Settling(
      standby: standby, journalName: journalName, reader: reader, commit: committed, live: live)
    // What settling needed of it is taken by then; after a failure the next open finds what it can.
    defer { reservation = nil }
    do throws(StandbyError) {
      try settling.run()
      standby.recovery = .success(.settled(committed.point.reference))
      return settling.mapFailures
    } catch {
      standby.recovery = .failure(error)
      throw error
    }
  }

  /// The connection is lost or the source gave up: keeps what is here as a head start for the next pass. What
  /// cannot be trusted is dropped. After a commit there is nothing to do.
  public func suspend() throws(StandbyError) {
    if committed != nil { return }
    if failure == nil {
      try syncAll()
      fail(.passEnded(detail: "it was suspended"))
    }
    // After an error the end of the journal is unclear: what was written whole verifies, the rest the next
    // pass cuts off.
    if failure?.keepsJournal == false { try dropJournal() }
    try suspendSeeds()
  }

  /// Drops what the journal holds; a first copy keeps what its disk holds.
  public func abandon() throws(StandbyError) {
    if committed != nil { return }
    fail(.passEnded(detail: "it was abandoned"))
    try dropJournal()
    try suspendSeeds()
  }

  private func dropJournal() throws(StandbyError) {
    try standby.dropJournal(journalName)
    for target in targets where target is JournalledDisk {
      // A cache, and no longer of use: the next pass makes its own in its place.
      try? target.overlay.delta.discard()
    }
  }

  private func suspendSeeds() throws(StandbyError) {
    guard failure?.keepsSeeds == true else { return }
    for target in targets { try (target as? SeedingDisk)?.suspend(pass: offer.pass) }
  }

  // MARK: - Checking

  private func checkClaims(_ claims: CommitClaims) throws(StandbyError) {
    guard claims.disks.count == targets.count else {
      throw .badOffer(
        detail: "the commit is for \(claims.disks.count) disks, the offer was for \(targets.count)")
    }
    for (index, claim) in claims.disks.enumerated() {
      let (disk, count) = (offer.disks[index].disk, counts[index])
      guard claim.dataPages == count.data, claim.zeroPages == count.zero else {
        throw .countMismatch(
          disk: disk,
          detail:
            "\(count.data) data and \(count.zero) zero pages came, the source sent \(claim.dataPages) and "
            + "\(claim.zeroPages)")
      }
      let root = try digesting { () throws(DigestError) in try targets[index].overlay.delta.root() }
      guard root == claim.root else {
        // The map on which this was built may be damaged: the next pass reads the disk instead.
        standby.dropMap(of: disk)
        throw .rootMismatch(disk: disk, expected: claim.root, found: root)
      }
    }
    if let missing = filesWanted.first { throw .damagedFile(missing, detail: "it did not come") }
  }

  /// Makes the files beside the disks once without writing them: after the commit it would be too late to
  /// refuse a VMX or a descriptor that cannot be made.
  private func checkFiles(_ record: CommitRecord) throws(StandbyError) {
    var files = receivedFiles
    for file in SourceFile.allCases where files[file] == nil {
      if let hash = record.hash(of: file) { files[file] = try standby.home.sources.require(hash, file) }
    }
    let disks = record.settledDisks(standby.catalog.disks)
    _ = try standby.makeFiles(
      record.point, vmx: files[.vmx], nvram: files[.nvram], disks: disks, startable: false)
  }

  private func checkSpace() throws(StandbyError) {
    let needed = targets.reduce(into: Int64(0)) { sum, target in
      guard let disk = target as? JournalledDisk else { return }
      sum += standby.settlingBytes(of: disk)
    }
    if try needed > standby.freeBytesAboveFloor() {
      try standby.makeRoom(needed)
    }
    reservation = try standby.reserveSpace(needed)
  }

  private func makeRecord(_ claims: CommitClaims) -> CommitRecord {
    let members = zip(offer.disks, claims.disks).map { disk, claim in
      DiskPoint(disk: disk.disk, slot: disk.slot, grid: disk.grid, keyID: disk.keyID, root: claim.root)
    }
    let point = RecoveryPoint(
      receiver: standby.store.receiver, vm: offer.vm, reference: standby.catalog.nextReference,
      pass: offer.pass, frozenAt: offer.frozenAt, committedAt: standby.store.time.wallTime(),
      label: offer.label, disks: members)
    let disks = zip(offer.disks, claims.disks).map { disk, claim in
      CommitRecord.Disk(facts: disk.facts, dataPages: claim.dataPages, zeroPages: claim.zeroPages)
    }
    return CommitRecord(
      point: point, displayName: offer.displayName, disks: disks, vmxHash: offer.vmxHash,
      nvramHash: offer.nvramHash)
  }
}
