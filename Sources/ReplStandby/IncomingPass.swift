import ReplDigest
import ReplIO
import ReplModel

/// One pass at the receiver, from the accepted offer to the commit. One user at a time; the digest views may
/// be read by other threads meanwhile.
///
/// Batches of disks that belong to a recovery point go to the journal, batches of first copies to the disk.
/// After any error but `.damagedBatch` and `.damagedFile` the pass is over: call `suspend` or `abandon`.
public final class IncomingPass {
  public let offer: PassOffer
  public let standby: Standby
  /// Kinds of source files that must come before the commit: those whose content is not here yet.
  public var filesWanted: [SourceFile] {
    SourceFile.allCases.filter { offer.hash(of: $0) != nil && offer.hash(of: $0) != heldFiles[$0] }
  }

  let targets: [any BatchTarget]
  let journal: RecordWriter
  let journalName: String
  /// Hashes of the source files that are here, kept or in the journal.
  var heldFiles: [SourceFile: Hash256]
  /// Those that came on this connection.
  var receivedFiles: [SourceFile: [UInt8]] = [:]
  var counts: [PageCounts]
  var failure: Failure?
  var committed: CommitRecord?
  private let opener = BatchOpener()
  private let digesters: [PageDigester]

  struct PageCounts: Equatable {
    var data: Int64 = 0
    var zero: Int64 = 0
  }

  /// How a pass came to its end before its commit, and what of it is worth keeping.
  struct Failure {
    let text: String
    /// No: its content is wrong or unclear, or the space is needed.
    let keepsJournal: Bool
    /// No: what first copies brought is not what the source has.
    let keepsSeeds: Bool
  }

  init(standby: Standby, offer: PassOffer) throws(StandbyError) {
    self.standby = standby
    self.offer = offer
    var held: [SourceFile: Hash256] = [:]
    for file in SourceFile.allCases {
      if let bytes = try standby.readSource(file) { held[file] = sourceHash(bytes) }
    }
    let opening = try JournalOpening(standby: standby, offer: offer)
    targets = try opening.targets()
    held.merge(try opening.replay()) { _, later in later }
    journal = opening.writer
    journalName = opening.name
    heldFiles = held
    counts = Array(repeating: PageCounts(), count: offer.disks.count)
    digesters = try offer.disks.map { (disk) throws(StandbyError) in
      guard let key = try standby.store.key(disk.keyID) else { throw .keyMissing(key: disk.keyID) }
      return try digesting { () throws(DigestError) in try PageDigester(key: key) }
    }
  }

  // MARK: - What the source is told

  /// The recovery point on which the pass builds; nil before the first one.
  public var base: RecoveryPoint? { standby.catalog.newest }

  /// Whether a disk (index in the offer) gets its first copy.
  public func isSeeding(disk index: Int) -> Bool { targets[index] is SeedingDisk }

  /// What the disk would be if the pass were committed now: its map as it was, and over it what is here of
  /// this pass and of an interrupted one. The source sends what differs from this.
  public func digestView(disk index: Int) -> any DigestView { targets[index].overlay.delta }

  // MARK: - Taking

  /// Takes one batch: bounds, inflating and digests are checked before anything is written. Not durable
  /// before `sync`.
  public func append(_ batch: ReceivedBatch) throws(StandbyError) {
    try requireOpen()
    guard targets.indices.contains(batch.diskIndex) else { throw .unknownDisk(index: batch.diskIndex) }
    let target = targets[batch.diskIndex]
    let (data, digests) = try verify(batch, target.offered)
    do throws(StandbyError) {
      try target.take(batch, data: data, digests: digests)
    } catch {
      fail(error)
      throw error
    }
    counts[batch.diskIndex].data += batch.runs.dataPageCount
    counts[batch.diskIndex].zero += batch.runs.zeroPageCount
  }

  /// Takes one of the VM's files, at most `Limits.sourceFileBytes`. Throws `.damagedFile` when it is not the
  /// one offered.
  public func append(_ file: SourceFile, _ bytes: [UInt8]) throws(StandbyError) {
    try requireOpen()
    guard bytes.count <= Limits.sourceFileBytes else {
      throw .damagedFile(file, detail: "\(bytes.count) bytes, at most \(Limits.sourceFileBytes) are allowed")
    }
    let hash = sourceHash(bytes)
    guard hash == offer.hash(of: file) else {
      throw .damagedFile(file, detail: "its hash is \(hash), not the one in the offer")
    }
    let head = FileRecord.encodeHead(file, hash: hash)
    do throws(StandbyError) {
      try head.reading { (head) throws(StandbyError) in
        try bytes.reading { (content) throws(StandbyError) in try journal.append(.file, [head, content]) }
      }
    } catch {
      fail(error)
      throw error
    }
    heldFiles[file] = hash
    receivedFiles[file] = bytes
  }

  /// Makes everything taken durable: then the caller may acknowledge it. A failure is final, and what was
  /// taken since the last good sync is not kept.
  public func sync() throws(StandbyError) {
    try requireOpen()
    try standby.checkFailoverRequest()
    try syncAll()
  }

  func syncAll() throws(StandbyError) {
    do throws(StandbyError) {
      for target in targets { try (target as? SeedingDisk)?.sync() }
    } catch {
      fail(error)
      throw error
    }
    do throws(StandbyError) {
      try journal.sync()
    } catch {
      fail(error, keepsJournal: false)
      standby.dropSuspectJournal(journalName)
      throw error
    }
  }

  func requireOpen() throws(StandbyError) {
    if let failure { throw .passEnded(detail: failure.text) }
    if committed != nil { throw .passEnded(detail: "it is committed") }
  }

  /// Ends the pass.
  func fail(_ error: StandbyError, keepsJournal: Bool = true) {
    if failure != nil { return }
    let isWrong =
      switch error {
      case .rootMismatch, .countMismatch: true
      default: false
      }
    failure = Failure(
      text: "\(error)", keepsJournal: keepsJournal && !isWrong && !error.isOutOfSpace, keepsSeeds: !isWrong)
  }

  // MARK: - Checking

  private func verify(
    _ batch: ReceivedBatch, _ disk: PassOffer.Disk
  ) throws(StandbyError) -> (UnsafeRawBufferPointer, UnsafeBufferPointer<PageDigest>) {
    try checkBounds(batch, disk)
    let data: UnsafeRawBufferPointer
    do {
      data = try opener.inflate(batch.codec, batch.payload, rawLength: batch.rawLength)
    } catch {
      throw .damagedBatch(disk: disk.disk, detail: "\(error)")
    }
    let digester = digesters[batch.diskIndex]
    let digests = try digesting { () throws(DigestError) in
      try opener.digests(of: data, runs: batch.runs, grid: disk.grid, digester)
    }
    let found = try digesting { () throws(DigestError) in try digester.digest(of: digests) }
    guard found == batch.digest else {
      throw .damagedBatch(disk: disk.disk, detail: "its pages do not have the digest that was announced")
    }
    return (data, digests)
  }

  private func checkBounds(_ batch: ReceivedBatch, _ disk: PassOffer.Disk) throws(StandbyError) {
    func refuse(_ detail: String) -> StandbyError { .damagedBatch(disk: disk.disk, detail: detail) }
    guard !batch.runs.isEmpty, batch.runs.count <= Limits.runsPerBatch else {
      throw refuse("\(batch.runs.count) runs, allowed are 1 to \(Limits.runsPerBatch)")
    }
    guard (0...Limits.batchBytes).contains(batch.rawLength) else {
      throw refuse("\(batch.rawLength) bytes of pages, at most \(Limits.batchBytes) are allowed")
    }
    var position: Int64 = 0
    for run in batch.runs {
      guard run.firstPage >= position, run.firstPage < disk.grid.pageCount,
        run.pageCount <= disk.grid.pageCount - run.firstPage
      else {
        throw refuse(
          "pages \(run.firstPage) and \(run.pageCount - 1) more are out of order or outside the disk")
      }
      position = run.firstPage + run.pageCount
    }
    guard disk.grid.dataBytes(of: batch.runs) == Int64(batch.rawLength) else {
      throw refuse("\(batch.rawLength) bytes do not fit its runs")
    }
    // Nobody packs to make it larger; the journal's records are sized for this.
    guard batch.payload.count <= batch.rawLength else {
      throw refuse("\(batch.payload.count) bytes were packed from \(batch.rawLength)")
    }
  }
}
