import ReplDigest
import ReplIO
import ReplModel

/// What follows a commit: brings the point of one journal into the disks, maps, files and catalog, in that
/// order. Each step can be done again after a crash anywhere, and this is also what recovery does.
final class Settling {
  let standby: Standby
  let journalName: String
  let reader: RecordReader
  let commit: CommitRecord
  /// The maps that the pass still has in memory; after a crash there are none.
  let live: [DiskID: MapOverlay]
  /// The VMX and NVRAM that came with the pass, found while the journal is read.
  private var files: [SourceFile: [UInt8]] = [:]
  /// Maps that could not be brought along, and why; the next pass makes them anew.
  var mapFailures: [DiskID: StandbyError] = [:]
  /// Pages that may be other than the base map says: see `Settling+Wanted`.
  var wanted = WantedList()
  /// Wanted pages that were brought and read again, and are still not right.
  var stillWrong: [DiskID: VerifyReport] = [:]
  /// Wanted disks that are still not what the point says, and nobody knows where.
  var stillUnknown: Set<DiskID> = []
  /// Disks of which a sync had failed, and of which all that the pass wrote was found on the medium.
  var readBackDisks: Set<DiskID> = []
  /// The data files as this settling left them.
  private var generations: [DiskID: FileGeneration] = [:]

  init(
    standby: Standby, journalName: String, reader: RecordReader, commit: CommitRecord,
    live: [DiskID: MapOverlay]
  ) {
    self.standby = standby
    self.journalName = journalName
    self.reader = reader
    self.commit = commit
    self.live = live
  }

  var header: RecordFileHeader.Description { reader.header.description }
  var point: RecoveryPoint { commit.point }

  /// The way back, the disks, the maps, the files beside the disks, the catalog, tidying up.
  func run() throws(StandbyError) {
    if let found = standby.catalog.divergence {
      throw .diverged(disk: found.disk, page: found.page, detail: found.detail)
    }
    try standby.checkFence()
    wanted = try standby.wantedList()
    try standby.recordingDivergence { () throws(StandbyError) in
      try captureUndo()
      try writeDisks()
      try settleMaps()
    }
    try readBack()
    try placeFiles()
    try nameNewPoint()
    try finish()
  }

  // MARK: - a. The way back

  private func captureUndo() throws(StandbyError) {
    guard let base = header.base else { return }
    guard let basePoint = standby.catalog.newest, basePoint.reference == base else {
      throw .journalDamaged(
        path: reader.file.path, detail: "it builds on point \(base), which is not the newest")
    }
    let points = standby.home.points
    let name = StandbyLayout.undo(backTo: base)
    if try storing({ () throws(IOError) in try points.contains(name) }) {
      return try checkSealedUndo(name)
    }
    // Not sealed: the disks are untouched by us, and should be so by everybody. What is there of it is worth
    // nothing.
    for disk in header.disks { try standby.checkUntouched(disk.disk) }
    let unsealed = StandbyLayout.unsealedUndo(backTo: base)
    try storing { () throws(IOError) in
      if try points.contains(unsealed) { try points.removeFile(unsealed) }
    }
    do throws(StandbyError) {
      try capture(unsealed, basePoint)
    } catch {
      guard case .diverged(let disk, .some, _) = error, let member = basePoint.disk(disk),
        wanted.disk(disk) == nil
      else { throw error }
      try checkDisk(of: member, at: basePoint, found: error)
      try storing { () throws(IOError) in try points.removeFile(unsealed) }
      try capture(unsealed, basePoint)
    }
    try storing { () throws(IOError) in
      try points.rename(unsealed, to: name)
      try points.sync()
    }
  }

  /// A page does not fit the map: disk or map is wrong. Reading all of the disk tells; throws `found` when it
  /// is the disk.
  private func checkDisk(
    of member: DiskPoint, at basePoint: RecoveryPoint, found: StandbyError
  ) throws(StandbyError) {
    do throws(StandbyError) {
      _ = try standby.rebuildMap(of: member, at: basePoint, makesWay: false)
    } catch {
      if case .diverged = error { throw found }
      throw error
    }
  }

  private func capture(_ name: String, _ basePoint: RecoveryPoint) throws(StandbyError) {
    // In the sizes of the point to which it leads back.
    let disks = header.disks.map { disk in
      RecordFileHeader.Disk(
        disk: disk.disk, grid: basePoint.disk(disk.disk)?.grid ?? disk.grid, keyID: disk.keyID)
    }
    let description = RecordFileHeader.Description(
      vm: header.vm, pass: point.pass, base: header.base, disks: disks)
    let capture = try UndoCapture(
      standby: standby, basePoint: basePoint, point: point, wanted: wanted, journal: reader, name: name,
      description: description)
    try capture.run()
    try noteLost(capture.lost)
    try capture.seal()
  }

  /// An undo file that has its name was sealed before any disk was written; capturing again would save new
  /// pages as old.
  private func checkSealedUndo(_ name: String) throws(StandbyError) {
    let file = try storing { () throws(IOError) in
      // That the name can be seen does not say that it was durable before a crash.
      try standby.home.points.sync()
      return try standby.home.points.openFile(name, .read)
    }
    guard let undo = try RecordReader.open(file), undo.header.kind == .undo,
      undo.header.description.pass == point.pass
    else {
      throw .journalDamaged(path: file.path, detail: "it is not the undo file of pass \(point.pass)")
    }
  }

  // MARK: - b. The disks

  private func writeDisks() throws(StandbyError) {
    let disks = try header.disks.map { (disk) throws(StandbyError) -> any StorageFile in
      guard let entry = standby.catalog.disk(disk.disk) else {
        throw .journalDamaged(path: reader.file.path, detail: "disk \(disk.disk) is not in the catalog")
      }
      // Cut off here before, a disk that grows may have either size.
      return try standby.openDiskFile(entry, .readWrite, of: [entry.grid, disk.grid])
    }
    if !disks.isEmpty { try writeMarker() }
    try extend(disks)
    let opener = BatchOpener()
    try reader.rewind()
    var isWhole = false
    while !isWhole, let record = try reader.next() {
      switch record.type {
      case .batch: try apply(record, to: disks, opener)
      case .file: keep(record)
      case .commit: isWhole = true
      case .seal: throw senseless(record)
      }
    }
    // It was whole when the commit was found; what was written is written again when it is whole once more.
    guard isWhole else {
      throw .journalDamaged(path: reader.file.path, detail: "its commit cannot be reached")
    }
    for (disk, file) in zip(header.disks, disks) {
      generations[disk.disk] = try distrusting(disk.disk) { () throws(IOError) in
        try file.syncWithTimes()
        return try file.generation()
      }
    }
  }

  /// After a failed sync nobody knows what is on the medium: what is written again is read back then.
  private func distrusting<Value>(
    _ disk: DiskID, _ body: () throws(IOError) -> Value
  ) throws(StandbyError) -> Value {
    do throws(IOError) { return try body() } catch {
      standby.distrust(disk)
      throw StandbyError(error)
    }
  }

  /// Disks that grew get their new size. It is durable before anything is written behind the old end: else a
  /// crash could leave a size in between. Also when they have it already: a sync that failed may have lost
  /// it.
  private func extend(_ disks: [any StorageFile]) throws(StandbyError) {
    for (disk, file) in zip(header.disks, disks)
    where standby.catalog.disk(disk.disk)?.grid.sizeBytes != disk.grid.sizeBytes {
      try storing { () throws(IOError) in try file.truncate(to: disk.grid.sizeBytes) }
      try distrusting(disk.disk) { () throws(IOError) in try file.sync() }
    }
  }

  private func apply(
    _ record: Record, to disks: [any StorageFile], _ opener: BatchOpener
  ) throws(StandbyError) {
    guard let batch = BatchRecord(record, disks: header.disks),
      // It inflated when it was taken: whatever fails now, the record is not what it was.
      let data = try? opener.inflate(batch.codec, batch.payload, rawLength: batch.rawLength)
    else { throw senseless(record) }
    let grid = header.disks[batch.diskIndex].grid
    try storing { () throws(IOError) in try disks[batch.diskIndex].write(batch.runs, data, grid: grid) }
  }

  private func keep(_ record: Record) {
    guard let file = FileRecord(record) else { return }
    let bytes = Array(file.content)
    if file.hash == commit.hash(of: file.file), sourceHash(bytes) == file.hash { files[file.file] = bytes }
  }

  private func senseless(_ record: Record) -> StandbyError {
    .journalDamaged(
      path: reader.file.path, detail: "the record at byte \(record.offsetBytes) makes no sense")
  }

  private func writeMarker() throws(StandbyError) {
    let text = """
      The disks in this directory are between two recovery points.

      vmrepl is writing recovery point \(point.reference) into them (VM \(point.vm),
      frozen at \(point.frozenAt)).
      Do not start, copy or check this VM while this file is here.

      To finish: start repl-receiver, or run "repl-receiver failover" for this VM. Both do this first.
      If neither can: keep everything in .repl; it holds what is needed to go on.

      """
    try storing { () throws(IOError) in
      try standby.home.directory.replaceFile(StandbyLayout.settlingFile, with: Array(text.utf8))
    }
  }

  // MARK: - d. The files beside the disks

  private func placeFiles() throws(StandbyError) {
    let vmx = try sourceFile(.vmx)
    let nvram = try sourceFile(.nvram)
    try standby.place(
      point, vmx: vmx, nvram: nvram, disks: commit.settledDisks(standby.catalog.disks), startable: false)
  }

  /// The file of the new point: the one that came, or else the one that is here already.
  private func sourceFile(_ file: SourceFile) throws(StandbyError) -> [UInt8]? {
    guard let hash = commit.hash(of: file) else { return nil }
    if case .bytes(let held) = try standby.home.sources.find(hash, file) { return held }
    guard let bytes = files[file] else { return try standby.home.sources.require(hash, file) }
    try standby.home.sources.keep(bytes, hash)
    return bytes
  }

  // MARK: - e. The catalog

  private func nameNewPoint() throws(StandbyError) {
    var disks = commit.settledDisks(standby.catalog.disks)
    for index in disks.indices where point.disk(disks[index].disk) != nil {
      // Disks that got their first copy were written and synced before the commit.
      if let written = generations[disks[index].disk] {
        disks[index].generation = written
      } else {
        disks[index].generation = try standby.generation(of: disks[index])
      }
    }
    // What is written here would take away a fence that somebody raised without the lock.
    try standby.checkFence()
    try standby.update { catalog in
      catalog.take(commit, disks: disks)
      resolveWanted(&catalog)
    }
    for disk in readBackDisks { standby.store.clearSuspect(standby.suspicion(of: disk)) }
  }

  // MARK: - f. Tidying up

  /// Removes the marker, then the journal: as long as the journal is here, a crash leads back to this. Points
  /// that are not kept any more go with `Standby.applyRetention`.
  func finish() throws(StandbyError) {
    try storing { () throws(IOError) in
      let directory = standby.home.directory
      if try directory.contains(StandbyLayout.settlingFile) {
        try directory.removeFile(StandbyLayout.settlingFile)
      }
      // Also when it was gone already: its removal may not have been durable.
      try directory.sync()
    }
    try forgetWanted()
    try standby.dropJournal(journalName)
  }
}

/// The hash by which source files are known.
func sourceHash(_ bytes: [UInt8]) -> Hash256 { SHA256Hasher.hash(bytes) }
