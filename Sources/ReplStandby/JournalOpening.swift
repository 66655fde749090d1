import ReplDigest
import ReplIO
import ReplModel

/// Opens the journal of a new pass: goes on with what an interrupted pass left, or starts one.
struct JournalOpening {
  let name: String
  let writer: RecordWriter
  private let standby: Standby
  private let offer: PassOffer
  /// At the start of what was left; nil for a new journal.
  private let left: RecordReader?
  private let made: Targets

  /// The targets are shared by `targets()` and `replay()`.
  private final class Targets {
    var journalled: [JournalledDisk] = []
  }

  init(standby: Standby, offer: PassOffer) throws(StandbyError) {
    self.standby = standby
    self.offer = offer
    made = Targets()
    let description = RecordFileHeader.Description(
      vm: offer.vm, pass: offer.pass, base: standby.catalog.newest?.reference,
      disks: Self.journalledDisks(offer, standby.catalog))
    let headStart = try Self.headStart(description, standby)
    let name = headStart?.name ?? StandbyLayout.journal(of: offer.pass)
    do throws(StandbyError) {
      writer =
        if let headStart {
          try RecordWriter.resume(after: headStart.reader, in: standby.home.journals)
        } else {
          try RecordWriter.create(
            name, in: standby.home.journals,
            header: RecordFileHeader(
              kind: .journal, identity: UInt64.random(in: 1...UInt64.max), description: description))
        }
    } catch {
      // A sync that failed is not tried again: what can be read of it need not be on the medium.
      standby.dropSuspectJournal(name)
      throw error
    }
    (self.name, left) = (name, headStart?.reader)
  }

  private static func journalledDisks(_ offer: PassOffer, _ catalog: Catalog) -> [RecordFileHeader.Disk] {
    offer.disks.filter { catalog.disk($0.disk)?.state == .ready }
      .map { RecordFileHeader.Disk(disk: $0.disk, grid: $0.grid, keyID: $0.keyID) }
  }

  /// A journal without a commit that builds on the same point and is about the same disks, read to its end.
  /// Others are of no use any more and are dropped.
  private static func headStart(
    _ wanted: RecordFileHeader.Description, _ standby: Standby
  ) throws(StandbyError) -> (name: String, reader: RecordReader)? {
    var found: (name: String, reader: RecordReader)?
    for name in try standby.journalNames() {
      let isSuspect = standby.store.isSuspect(standby.suspicion(ofJournal: name))
      let scan = isSuspect ? nil : try JournalScan(name, in: standby.home.journals)
      if let scan, scan.commit != nil { throw .passEnded(detail: "a committed point is not settled yet") }
      if found == nil, let reader = scan?.reader, reader.header.description.base == wanted.base,
        Set(reader.header.description.disks) == Set(wanted.disks)
      {
        found = (name, reader)
      } else {
        try standby.dropJournal(name)
      }
    }
    return found
  }

  /// The offer's disks, in its order.
  func targets() throws(StandbyError) -> [any BatchTarget] {
    var targets: [any BatchTarget] = []
    do throws(StandbyError) {
      for offered in offer.disks { targets.append(try target(for: offered)) }
    } catch {
      // The disk that cannot be opened is to be told; the first copies before it must not be read again
      // because of it.
      for target in targets { try? (target as? SeedingDisk)?.suspend(pass: offer.pass) }
      throw error
    }
    return targets
  }

  private func target(for offered: PassOffer.Disk) throws(StandbyError) -> any BatchTarget {
    guard let entry = standby.catalog.disk(offered.disk) else {
      preconditionFailure("an offered disk was not entered in the catalog")
    }
    if entry.state == .seeding { return try SeedingDisk(entry, offered: offered, in: standby) }
    guard let point = standby.catalog.newest, let member = point.disk(offered.disk),
      let index = writer.header.description.disks.firstIndex(where: { $0.disk == offered.disk })
    else {
      throw .catalogDamaged(
        path: standby.home.privateDirectory.path, detail: "disk \(offered.disk) is ready but in no point")
    }
    let wanted = try standby.wantedList().disk(offered.disk)
    // Of a wanted disk nothing was brought to a new key.
    let shown = wanted?.isMapLost == true ? member.replacing(keyID: offered.keyID) : member
    let base = try standby.recordingDivergence { () throws(StandbyError) in
      if wanted?.isMapLost == true, standby.trustedMap(of: shown, at: point) == nil {
        return try standby.mapOfContent(shown, on: offered.grid)
      }
      return try standby.map(of: member, at: point, on: offered.grid)
    }
    let overlay = try MapOverlay(base: base, for: offered.disk, in: standby.maps)
    if let wanted { try standby.show(wanted, of: shown, in: overlay) }
    let disk = JournalledDisk(offered, overlay: overlay, journal: writer, journalIndex: index)
    made.journalled.append(disk)
    return disk
  }

  /// Takes into account what was left: the overlays follow, and the files that came are the answer.
  func replay() throws(StandbyError) -> [SourceFile: [UInt8]] {
    guard let left else { return [:] }
    var files: [SourceFile: [UInt8]] = [:]
    try left.rewind()
    while let record = try left.next() {
      if record.type == .file, let file = FileRecord(record) {
        files[file.file] = Array(file.content)
      }
      guard record.type == .batch, let batch = BatchRecord(record, disks: left.header.description.disks)
      else {
        continue
      }
      try made.journalled.first { $0.journalIndex == batch.diskIndex }?.replay(batch)
    }
    return files
  }
}

extension DiskPoint {
  fileprivate func replacing(keyID: KeyID) -> DiskPoint {
    DiskPoint(disk: disk, slot: slot, grid: grid, keyID: keyID, root: root)
  }
}
