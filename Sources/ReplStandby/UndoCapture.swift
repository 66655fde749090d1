import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// Saves every page that settling a journal will overwrite, after checking it against the base map: a page
/// that is not what replication wrote there means that somebody else wrote the disk.
final class UndoCapture {
  /// What is needed of one disk.
  private struct Source {
    /// As the journal has it; larger than `grid` when the pass makes the disk grow.
    let disk: RecordFileHeader.Disk
    /// Of the point to which the undo file leads back: what is saved ends here.
    let grid: PageGrid
    let file: any StorageFile
    /// Nil while the key is lost: then nothing can be checked, and the pages are saved as they are.
    let base: DigestMap?
    let digester: PageDigester?
    /// Nil when no page of the disk is wanted.
    let wanted: WantedPages?
  }

  private let journal: RecordReader
  private let output: UndoOutput
  private let opener = BatchOpener()
  private let chunk = AlignedBuffer(byteCount: Limits.batchBytes)
  private let found = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)
  private let expected = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)
  private var sources: [Source] = []

  /// `point`: the one that the journal brings. `wanted`: pages that may be other than the base map says.
  init(
    standby: Standby, basePoint: RecoveryPoint, point: RecoveryPoint, wanted: WantedList,
    journal: RecordReader, name: String, description: RecordFileHeader.Description
  ) throws(StandbyError) {
    self.journal = journal
    var sources: [Source] = []
    for disk in journal.header.description.disks {
      guard let entry = standby.catalog.disk(disk.disk), let member = basePoint.disk(disk.disk) else {
        throw .journalDamaged(
          path: journal.file.path, detail: "disk \(disk.disk) is not in point \(basePoint.reference)")
      }
      // A key file that cannot be read is as good as none here: a committed point must come into the disks.
      let key = try? standby.store.key(disk.keyID)
      let entryWanted = wanted.disk(disk.disk)
      let isMapLost =
        entryWanted?.isMapLost == true && standby.trustedMap(of: member, at: basePoint) == nil
      sources.append(
        Source(
          disk: disk, grid: member.grid, file: try standby.openDiskFile(entry, .read, of: [member.grid]),
          base: key == nil || isMapLost ? nil : try standby.map(of: member, at: basePoint, makesWay: false),
          digester: try key.map { (key) throws(StandbyError) in
            try digesting { () throws(DigestError) in try PageDigester(key: key) }
          },
          wanted: entryWanted.map {
            WantedPages(
              $0, isMapLost: isMapLost, isUnchanged: point.disk(disk.disk)?.root == member.root)
          }))
    }
    self.sources = sources
    let header = RecordFileHeader(
      kind: .undo, identity: UInt64.random(in: 1...UInt64.max), description: description)
    let writer = try RecordWriter.create(name, in: standby.home.points, header: header)
    output = try UndoOutput(writer: writer)
  }

  /// Everything saved and sealed is on stable storage when this returns; nothing was written anywhere else.
  func run() throws(StandbyError) {
    try journal.rewind()
    var isWhole = false
    while !isWhole, let record = try journal.next() {
      isWhole = record.type == .commit
      guard record.type == .batch else { continue }
      guard let batch = BatchRecord(record, disks: sources.map(\.disk)) else {
        throw .journalDamaged(
          path: journal.file.path, detail: "the record at byte \(record.offsetBytes) makes no sense")
      }
      startReading(batch)
      try checkContent(of: batch, at: record.offsetBytes)
      var dataPages = 0
      for run in batch.runs {
        let source = sources[batch.diskIndex]
        source.wanted?.begin(run, of: batch, dataPages: dataPages)
        if run.kind == .data { dataPages += Int(run.pageCount) }
        try capture(run, of: batch.diskIndex)
      }
    }
    guard isWhole else {
      throw .journalDamaged(path: journal.file.path, detail: "its commit cannot be reached")
    }
    for source in sources { try checkWhatStays(source) }
  }

  /// All old pages of a batch are asked for at once: scattered pages are read one behind the other else, at
  /// the latency of the storage.
  private func startReading(_ batch: BatchRecord) {
    let source = sources[batch.diskIndex]
    for run in batch.runs where run.kind == .data && run.firstPage < source.grid.pageCount {
      let last = min(run.pages.upperBound, source.grid.pageCount)
      source.file.startReading(source.grid.bytes(of: run.firstPage..<last))
    }
  }

  /// What of the wanted pages cannot be had any more as the base point had it, by disk. After `run`.
  var lost: [DiskID: PageRangeList] {
    var lost: [DiskID: PageRangeList] = [:]
    for source in sources { if let wanted = source.wanted { lost[source.disk.disk] = wanted.lostList } }
    return lost
  }

  /// Makes what was saved durable and whole.
  func seal() throws(StandbyError) { try output.seal() }

  /// Wanted pages that the pass does not bring: the source has just what is on the disk, whatever the base
  /// point had.
  private func checkWhatStays(_ source: Source) throws(StandbyError) {
    guard let wanted = source.wanted, let base = source.base, let digester = source.digester else { return }
    let atOnce = Int64(Limits.batchBytes / source.grid.pageSizeBytes)
    for range in wanted.ranges {
      var page = range.lowerBound
      while page < min(range.upperBound, source.grid.pageCount) {
        let leafEnd = (page / Int64(PageGrid.pagesPerLeaf) + 1) * Int64(PageGrid.pagesPerLeaf)
        let end = min(range.upperBound, leafEnd, page + atOnce, source.grid.pageCount)
        let buffer = chunk.bytes.part(0, Int(source.grid.bytes(of: page..<end).length))
        let offset = source.grid.bytes(of: page..<end).offset
        try storing { () throws(IOError) in try source.file.read(into: buffer, at: offset) }
        let pages = try differing(page..<end, UnsafeRawBufferPointer(buffer), source.disk, base, digester)
        for page in pages { wanted.stays(page.page) }
        page = end
      }
    }
  }

  /// The new pages once more, before the first old one is overwritten: they inflate, and have the digests of
  /// the record.
  private func checkContent(of batch: BatchRecord, at offset: Int64) throws(StandbyError) {
    let source = sources[batch.diskIndex]
    let isRight: Bool
    // Bytes that do not inflate are not what was written: `isRight` says so.
    if let data = try? opener.inflate(batch.codec, batch.payload, rawLength: batch.rawLength) {
      isRight =
        try source.digester.map { (digester) throws(StandbyError) -> Bool in
          guard batch.hasDigests else { return true }
          let digests = try digesting { () throws(DigestError) in
            try opener.digests(of: data, runs: batch.runs, grid: source.disk.grid, digester)
          }
          return digests.indices.allSatisfy {
            digests[$0] == batch.digestBytes.digest(at: $0 * PageDigest.byteCount)
          }
        } ?? true
    } else {
      isRight = false
    }
    guard isRight else {
      throw .journalDamaged(
        path: journal.file.path, detail: "the pages of the record at byte \(offset) are not what was received"
      )
    }
  }

  private func capture(_ run: PageRun, of index: Int) throws(StandbyError) {
    let source = sources[index]
    let atOnce = Int64(Limits.batchBytes / source.grid.pageSizeBytes)
    // Behind the old end of a disk that grows there is nothing to save.
    let last = min(run.pages.upperBound, source.grid.pageCount)
    var page = run.firstPage
    while page < last {
      if run.kind == .zero {
        guard let next = try nextContent(from: page, source), next < last else { return }
        page = max(page, next)
      }
      let leafEnd = (page / Int64(PageGrid.pagesPerLeaf) + 1) * Int64(PageGrid.pagesPerLeaf)
      let end = min(last, leafEnd, page + atOnce)
      try capture(page..<end, of: index, source)
      page = end
    }
  }

  /// The first page at or after `page` of which disk or map say that it may hold something: zero runs can be
  /// long.
  private func nextContent(from page: Int64, _ source: Source) throws(StandbyError) -> Int64? {
    let (perLeaf, pageBytes) = (Int64(PageGrid.pagesPerLeaf), Int64(source.grid.pageSizeBytes))
    let allocated = try storing { () throws(IOError) in
      try source.file.allocatedRange(atOrAfter: page * pageBytes)
    }
    let leaf = try digesting { () throws(DigestError) in
      try source.base?.leafWithContent(atOrAfter: page / perLeaf)
    }
    return [allocated.map { $0.offset / pageBytes }, leaf.map { $0 * perLeaf }].compactMap { $0 }.min()
  }

  /// Pages of one leaf, at most 1 MiB of them.
  private func capture(_ pages: Range<Int64>, of index: Int, _ source: Source) throws(StandbyError) {
    let bytes = source.grid.bytes(of: pages)
    let buffer = chunk.bytes.part(0, Int(bytes.length))
    try storing { () throws(IOError) in try source.file.read(into: buffer, at: bytes.offset) }
    let readable = UnsafeRawBufferPointer(buffer)
    guard let wanted = source.wanted else {
      if let base = source.base, let digester = source.digester {
        try checkIsRight(try differing(pages, readable, source.disk, base, digester).first, source)
      }
      return try output.add(pages, readable, diskIndex: index, grid: source.grid)
    }
    var start = pages.lowerBound
    for skipped in try skipped(pages, readable, source, wanted) {
      try save(start..<skipped, of: pages, readable, index, source.grid)
      start = skipped + 1
    }
    try save(start..<pages.upperBound, of: pages, readable, index, source.grid)
  }

  /// Pages that are not saved: they are not what the base point had, and wanted because of that.
  private func skipped(
    _ pages: Range<Int64>, _ bytes: UnsafeRawBufferPointer, _ source: Source, _ wanted: WantedPages
  ) throws(StandbyError) -> [Int64] {
    guard let base = source.base, let digester = source.digester else {
      return wanted.isSavedBlindly(pages) ? [] : Array(pages)
    }
    var skipped: [Int64] = []
    for found in try differing(pages, bytes, source.disk, base, digester) {
      guard wanted.covers(found.page) else {
        try checkIsRight(found, source)
        continue
      }
      wanted.brings(found.page, expected: found.expected)
      skipped.append(found.page)
    }
    return skipped
  }

  /// Part of the pages that `bytes` are of.
  private func save(
    _ part: Range<Int64>, of pages: Range<Int64>, _ bytes: UnsafeRawBufferPointer, _ index: Int,
    _ grid: PageGrid
  ) throws(StandbyError) {
    guard !part.isEmpty else { return }
    let range = grid.bytes(of: part)
    let start = Int(range.offset - grid.bytes(of: pages).offset)
    try output.add(part, bytes.part(start, Int(range.length)), diskIndex: index, grid: grid)
  }

  private func checkIsRight(_ found: Found?, _ source: Source) throws(StandbyError) {
    guard let found else { return }
    throw .diverged(
      disk: source.disk.disk, page: found.page,
      detail: "the page is not what was written there by the last point")
  }

  /// A page that is not what the base map says.
  private struct Found {
    let page: Int64
    let expected: PageDigest
  }

  private func differing(
    _ pages: Range<Int64>, _ bytes: UnsafeRawBufferPointer, _ disk: RecordFileHeader.Disk, _ base: DigestMap,
    _ digester: PageDigester
  ) throws(StandbyError) -> [Found] {
    let found = found.bytes.bindMemory(to: PageDigest.self)
    let expected = expected.bytes.bindMemory(to: PageDigest.self)
    let (leaf, first) = pages.lowerBound.quotientAndRemainder(dividingBy: Int64(PageGrid.pagesPerLeaf))
    try digesting { () throws(DigestError) in
      try digester.digest(pages: bytes, pageSizeBytes: disk.grid.pageSizeBytes, into: found)
      try base.readLeaf(leaf, into: expected)
    }
    var differing: [Found] = []
    for offset in 0..<pages.count where found[offset] != expected[Int(first) + offset] {
      differing.append(
        Found(page: pages.lowerBound + Int64(offset), expected: expected[Int(first) + offset]))
    }
    return differing
  }
}
