import ReplDigest
import ReplIO
import ReplModel

/// One pass at the receiver, from the accepted offer to the commit. One user at a time; the digest views may
/// be read by other threads meanwhile.
///
/// Batches of disks that belong to a recovery point go to the journal, batches of first copies to the disk.
/// After any error but `.damagedBatch` and `.damagedFile` the pass is over: call `suspend` or `abandon`.
public final class IncomingPass: IncomingBatches {
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
  /// Those that are in the journal and fit the offer.
  var receivedFiles: [SourceFile: [UInt8]] = [:]
  var counts: [PageCounts]
  var failure: Failure?
  var committed: CommitRecord?
  /// From the commit to the end of settling.
  var reservation: SpaceReservation?
  private var space: SpaceWatch
  private let verifier: BatchVerifier

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
    standby.passFiles = Set(SourceFile.allCases.compactMap { offer.hash(of: $0) })
    var held: [SourceFile: Hash256] = [:]
    for file in SourceFile.allCases {
      if let hash = offer.hash(of: file), try standby.home.sources.holds(hash, file) { held[file] = hash }
    }
    let opening = try JournalOpening(standby: standby, offer: offer)
    targets = try opening.targets()
    for (file, bytes) in try opening.replay() where sourceHash(bytes) == offer.hash(of: file) {
      held[file] = offer.hash(of: file)
      receivedFiles[file] = bytes
    }
    journal = opening.writer
    journalName = opening.name
    heldFiles = held
    counts = Array(repeating: PageCounts(), count: offer.disks.count)
    space = try SpaceWatch(standby, journalHolds: opening.writer.endBytes)
    verifier = try BatchVerifier(offer.disks, in: standby.store)
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
    let verified = try verifier.verify(batch)
    do throws(StandbyError) {
      let isJournalled = targets[batch.diskIndex] is JournalledDisk
      try space.check(
        adding: Int64(isJournalled ? batch.payload.count : batch.rawLength),
        journalBytes: isJournalled ? journal.endBytes + Int64(batch.payload.count) : nil)
      try targets[batch.diskIndex].take(batch, data: verified.data, digests: verified.digests)
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
    // Once is enough; again and again would fill the store.
    guard heldFiles[file] != hash else { throw .damagedFile(file, detail: "it is here already") }
    let head = FileRecord.encodeHead(file, hash: hash)
    do throws(StandbyError) {
      let added = Int64(head.count + bytes.count)
      try space.check(adding: added, journalBytes: journal.endBytes + added)
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
}
