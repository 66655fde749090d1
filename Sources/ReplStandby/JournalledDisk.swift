import ReplDigest
import ReplIO
import ReplModel

/// A disk that belongs to a recovery point: batches go to the journal, the disk is not touched before the
/// commit.
final class JournalledDisk: BatchTarget {
  let offered: PassOffer.Disk
  let overlay: MapOverlay
  /// Index in the journal's list of disks.
  let journalIndex: Int
  private let journal: RecordWriter
  private let digestBytes = AlignedBuffer(
    byteCount: (Limits.batchBytes / 4096 + 1) * PageDigest.byteCount)
  private let leaf = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)
  /// Bytes that the undo file will have to hold, and bytes by which the disk may grow; both at the most.
  private(set) var undoBytes: Int64 = 0
  private(set) var growthBytes: Int64 = 0

  init(
    _ offered: PassOffer.Disk, overlay: MapOverlay, journal: RecordWriter, journalIndex: Int
  ) {
    self.offered = offered
    self.overlay = overlay
    self.journal = journal
    self.journalIndex = journalIndex
  }

  func take(
    _ batch: ReceivedBatch, data: UnsafeRawBufferPointer, digests: UnsafeBufferPointer<PageDigest>
  ) throws(StandbyError) {
    let bytes = digestBytes.bytes.part(0, digests.count * PageDigest.byteCount)
    for (index, digest) in digests.enumerated() { bytes.put(digest, at: index * PageDigest.byteCount) }
    let head = BatchRecord.encodeHead(
      diskIndex: journalIndex, codec: batch.codec, runs: batch.runs, rawLength: batch.rawLength,
      digestCount: digests.count, payloadLength: batch.payload.count)
    try head.reading { (head) throws(StandbyError) in
      try journal.append(
        .batch, flags: RecordFormat.flagDigests, [head, UnsafeRawBufferPointer(bytes), batch.payload])
    }
    try note(batch.runs, digests)
  }

  /// Takes a batch into account that an earlier pass left in the journal.
  func replay(_ batch: BatchRecord) throws(StandbyError) {
    let count = batch.digestBytes.count / PageDigest.byteCount
    let memory = digestBytes.bytes.bindMemory(to: PageDigest.self)
    for index in 0..<count { memory[index] = batch.digestBytes.digest(at: index * PageDigest.byteCount) }
    try note(batch.runs, UnsafeBufferPointer(rebasing: memory[0..<count]))
  }

  private func note(_ runs: [PageRun], _ digests: UnsafeBufferPointer<PageDigest>) throws(StandbyError) {
    for run in runs { try account(run) }
    try digesting { () throws(DigestError) in try overlay.note(runs, digests) }
  }

  /// Pages that hold something now go to the undo file; pages that hold nothing may grow the disk.
  private func account(_ run: PageRun) throws(StandbyError) {
    let perLeaf = Int64(PageGrid.pagesPerLeaf)
    let entries = leaf.bytes.bindMemory(to: PageDigest.self)
    var held: Int64 = 0
    var next = run.firstPage / perLeaf
    while let index = try digesting({ () throws(DigestError) in
      try overlay.base.leafWithContent(atOrAfter: next)
    }), index * perLeaf < run.pages.upperBound {
      try digesting { () throws(DigestError) in try overlay.base.readLeaf(index, into: entries) }
      let first = max(run.firstPage, index * perLeaf)
      let end = min(run.pages.upperBound, (index + 1) * perLeaf)
      for page in first..<max(first, end) where !entries[Int(page - index * perLeaf)].isZero { held += 1 }
      next = index + 1
    }
    let pageBytes = Int64(offered.grid.pageSizeBytes)
    undoBytes += held * pageBytes
    if run.kind == .data { growthBytes += (run.pageCount - held) * pageBytes }
  }
}
