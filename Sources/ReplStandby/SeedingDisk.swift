import ReplDigest
import ReplIO
import ReplModel

/// A disk whose first copy is under way: batches are written to it directly, for there is no earlier point to
/// protect.
///
/// While anything is written, its map stands under another name (`.seed`): after a crash there is no map,
/// nobody believes one that the disk has outrun, and the disk itself is read instead. In good order the map
/// gets its name back.
final class SeedingDisk: BatchTarget {
  let offered: PassOffer.Disk
  let overlay: MapOverlay
  private let standby: Standby
  private let file: any StorageFile
  /// Something may be in the file that no sync has made durable.
  private var isDirty: Bool
  private var isFinished = false
  /// The map says what is in the file. After an error nobody knows, and the next pass reads the disk.
  private var isTrusted = true

  // MARK: - Beginning

  /// `readingSeconds` limits how long the disk is read when nobody knows what is in it.
  init(
    _ entry: CatalogDisk, offered: PassOffer.Disk, in standby: Standby, readingSeconds: Double? = nil
  ) throws(StandbyError) {
    self.offered = offered
    self.standby = standby
    let suspicion = standby.suspicion(of: entry.disk)
    let isSuspect = entry.isSuspect || standby.store.isSuspect(suspicion)
    let (file, isFresh) = try standby.openSeedFile(entry, isSuspect: isSuspect)
    self.file = file
    let headStart = isFresh || isSuspect ? nil : Self.headStart(offered, standby)
    // What a killed program wrote and never synced is in the cache, and so in a map made by reading.
    isDirty = headStart == nil
    try Self.putAside(entry, standby, keeping: headStart != nil)
    let base: DigestMap
    if let headStart {
      base = headStart
    } else {
      base = try SeedMapReading(
        file: file, entry: entry, standby: standby, rewrites: isSuspect, isFresh: isFresh,
        limitSeconds: isSuspect ? nil : readingSeconds
      ).run()
    }
    overlay = try MapOverlay(base: base, for: entry.disk, in: standby.maps)
    if isSuspect {
      if entry.isSuspect { try standby.setSuspect(entry.disk, false) }
      standby.store.clearSuspect(suspicion)
    }
  }

  /// The map of a first copy that was interrupted in good order, or of a disk that was detached.
  static func headStart(_ offered: PassOffer.Disk, _ standby: Standby) -> DigestMap? {
    let format = DigestMapFormat(disk: offered.disk, grid: offered.grid, keyID: offered.keyID)
    guard
      // Whatever is wrong with it, the answer is the same: the disk is read.
      let found = try? DigestMap.open(StandbyLayout.map(of: offered.disk), in: standby.maps, format: format),
      case .at = found.state
    else { return nil }
    // Somebody else wrote the file since: the map no longer says what is in it, and the disk is read.
    do throws(StandbyError) { try standby.checkSeedUntouched(offered.disk) } catch { return nil }
    return found
  }

  /// Durably takes the map's name away before the disk is written.
  private static func putAside(
    _ entry: CatalogDisk, _ standby: Standby, keeping: Bool
  ) throws(StandbyError) {
    let name = StandbyLayout.map(of: entry.disk)
    try storing { () throws(IOError) in
      if keeping {
        try standby.maps.rename(name, to: StandbyLayout.seedMap(of: entry.disk))
      } else if try standby.maps.contains(name) {
        try standby.maps.removeFile(name)
      }
      try standby.maps.sync()
    }
  }

  // MARK: - Taking batches

  func take(
    _ batch: ReceivedBatch, data: UnsafeRawBufferPointer, digests: UnsafeBufferPointer<PageDigest>
  ) throws(StandbyError) {
    isDirty = true
    isTrusted = false
    try storing { () throws(IOError) in try file.write(batch.runs, data, grid: offered.grid) }
    try digesting { () throws(DigestError) in try overlay.note(batch.runs, digests) }
    isTrusted = true
  }

  // MARK: - Ending

  /// Makes what was written durable. After a failure the disk is suspect: what a reader sees need not be on
  /// the medium.
  func sync() throws(StandbyError) {
    if isDirty { try sync { (file) throws(IOError) in try file.sync() } }
  }

  private func sync(_ body: (any StorageFile) throws(IOError) -> Void) throws(StandbyError) {
    do {
      try body(file)
    } catch {
      isTrusted = false
      standby.distrust(offered.disk)
      throw StandbyError(error)
    }
    isDirty = false
  }

  /// Makes disk and map durable as those of `reference` and gives the map its name back; from then on nothing
  /// is written in this pass. Throws when the map's root is not `root`.
  func finish(at reference: PointReference, pass: PassID, root: Root) throws(StandbyError) {
    try sync { (file) throws(IOError) in try file.syncWithTimes() }
    let disk = offered.disk
    try digesting { () throws(DigestError) in
      try overlay.delta.seal(pass: pass, root: root)
      try overlay.delta.merge(as: reference)
    }
    // Before the map is believed again: with an older mark the disk would only be read once more.
    try standby.noteGeneration(of: disk, file)
    try storing { () throws(IOError) in
      try standby.maps.rename(StandbyLayout.seedMap(of: disk), to: StandbyLayout.map(of: disk))
      try standby.maps.sync()
    }
    isFinished = true
  }

  /// Keeps what is here as a head start: the map is finished under a number that no point has. A disk of
  /// which nobody knows what it holds stays without a map.
  func suspend(pass: PassID) throws(StandbyError) {
    if isFinished || !isTrusted { return }
    let root = try digesting { () throws(DigestError) in try overlay.delta.root() }
    try finish(at: PointReference(epoch: standby.catalog.epoch, number: 0), pass: pass, root: root)
  }
}

extension Standby {
  func suspicion(of disk: DiskID) -> String { "\(catalog.standby)/\(disk)" }

  /// Notes that a sync of a seeding disk failed. The durable note may fail as well; then this process knows,
  /// and the caller tells the failure either way.
  func distrust(_ disk: DiskID) {
    store.markSuspect(suspicion(of: disk))
    // The mark in memory stands; the fault that led here is the one to tell.
    try? setSuspect(disk, true)
  }

  func setSuspect(_ disk: DiskID, _ isSuspect: Bool) throws(StandbyError) {
    try update { catalog in
      for index in catalog.disks.indices where catalog.disks[index].disk == disk {
        catalog.disks[index].isSuspect = isSuspect
      }
    }
  }
}

extension StorageFile {
  /// Writes the runs of a batch to a disk, and lets the storage begin with them; `data` are the bytes of its
  /// data runs, one after the other.
  func write(_ runs: [PageRun], _ data: UnsafeRawBufferPointer, grid: PageGrid) throws(IOError) {
    var offset = 0
    for run in runs {
      let bytes = grid.bytes(of: run.pages)
      switch run.kind {
      case .data:
        try write(data.part(offset, Int(bytes.length)), at: bytes.offset)
        offset += Int(bytes.length)
      case .zero:
        try writeZeros(bytes)
      }
    }
    guard offset > 0, let first = runs.first, let last = runs.last else { return }
    startWriting(grid.bytes(of: first.pages.lowerBound..<last.pages.upperBound))
  }
}
