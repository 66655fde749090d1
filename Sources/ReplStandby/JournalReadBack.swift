import ReplDigest
import ReplIO
import ReplModel

/// Compares what a pass wrote to a disk with the journal itself: for a disk of which there is no map, because
/// the state directory is full or the key is lost.
struct JournalReadBack {
  /// Pages that a journal brings twice and that are not what it brought first. More of them are an error.
  private static let wrongLimit = 1 << 20

  let settling: Settling
  /// In the journal's list of disks.
  let index: Int

  /// The first page that is not what the journal brought last; nil when all are.
  func run() throws(StandbyError) -> Int64? {
    let (standby, disk, reader) = (settling.standby, settling.header.disks[index], settling.reader)
    guard let entry = standby.catalog.disk(disk.disk) else { return nil }
    let file = try standby.openDiskFile(entry, .read, of: [disk.grid])
    try storing { () throws(IOError) in
      try file.sync()
      try file.forgetCached(ByteRange(offset: 0, length: disk.grid.sizeBytes))
    }
    let opener = BatchOpener()
    let comparison = PageComparison(file: file, grid: disk.grid)
    var wrong: Set<Int64> = []
    try reader.rewind()
    while let record = try reader.next(), record.type != .commit {
      guard record.type == .batch, let batch = BatchRecord(record, disks: settling.header.disks),
        batch.diskIndex == index
      else { continue }
      // It inflated when it was written to the disk just now.
      guard let data = try? opener.inflate(batch.codec, batch.payload, rawLength: batch.rawLength) else {
        throw .journalDamaged(
          path: reader.file.path, detail: "the record at byte \(record.offsetBytes) does not inflate")
      }
      try comparison.compare(batch.runs, data, &wrong)
      guard wrong.count <= Self.wrongLimit else { break }
    }
    return wrong.min()
  }
}

/// Reads pages of a disk and compares them.
private struct PageComparison {
  let file: any StorageFile
  let grid: PageGrid
  private let buffer = AlignedBuffer(byteCount: Limits.batchBytes)

  init(file: any StorageFile, grid: PageGrid) { (self.file, self.grid) = (file, grid) }

  /// `wrong` is then right for the pages of `runs`; `data` has those of the data runs.
  func compare(
    _ runs: [PageRun], _ data: UnsafeRawBufferPointer, _ wrong: inout Set<Int64>
  ) throws(StandbyError) {
    var offset = 0
    for run in runs {
      switch run.kind {
      case .data:
        let length = Int(grid.bytes(of: run.pages).length)
        try compare(run.pages, with: data.part(offset, length), &wrong)
        offset += length
      case .zero:
        if !wrong.isEmpty { wrong = wrong.filter { !run.pages.contains($0) } }
        try checkZero(run.pages, &wrong)
      }
    }
  }

  /// Holes are zero; only what the disk has is read.
  private func checkZero(_ pages: Range<Int64>, _ wrong: inout Set<Int64>) throws(StandbyError) {
    let pageBytes = Int64(grid.pageSizeBytes)
    var page = pages.lowerBound
    while page < pages.upperBound,
      let held = try storing({ () throws(IOError) in try file.allocatedRange(atOrAfter: page * pageBytes) }),
      held.offset / pageBytes < pages.upperBound
    {
      let first = max(page, held.offset / pageBytes)
      let end = min(pages.upperBound, (held.end - 1) / pageBytes + 1)
      try compare(first..<end, with: nil, &wrong)
      page = end
    }
  }

  /// With zeros where there is no `data`.
  private func compare(
    _ pages: Range<Int64>, with data: UnsafeRawBufferPointer?, _ wrong: inout Set<Int64>
  ) throws(StandbyError) {
    let atOnce = Int64(buffer.bytes.count / grid.pageSizeBytes)
    let start = grid.bytes(of: pages).offset
    var first = pages.lowerBound
    while first < pages.upperBound {
      let end = min(pages.upperBound, first + atOnce)
      let range = grid.bytes(of: first..<end)
      let part = buffer.bytes.part(0, Int(range.length))
      try storing { () throws(IOError) in try file.read(into: part, at: range.offset) }
      for page in first..<end {
        let bytes = grid.bytes(of: page..<(page + 1))
        let found = UnsafeRawBufferPointer(part).part(Int(bytes.offset - range.offset), Int(bytes.length))
        let isRight =
          data.map { $0.part(Int(bytes.offset - start), found.count).elementsEqual(found) }
          ?? ZeroTest.isZero(found)
        if isRight { wrong.remove(page) } else { wrong.insert(page) }
      }
      first = end
    }
  }
}
