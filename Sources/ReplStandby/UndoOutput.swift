import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// Packs saved pages into the batch records of an undo file: up to 1 MiB a record, zero pages as runs.
final class UndoOutput {
  private let writer: RecordWriter
  private let compressor: Compressor
  private let raw = AlignedBuffer(byteCount: Limits.batchBytes)
  private let packed = AlignedBuffer(byteCount: Limits.batchBytes)
  private var rawCount = 0
  private var runs: [PageRun] = []
  private var diskIndex = 0
  private var pageCount: Int64 = 0

  init(writer: RecordWriter) throws(StandbyError) {
    self.writer = writer
    do { compressor = try Compressor(codec: .zstd) } catch { throw .badOffer(detail: "\(error)") }
  }

  /// Adds adjacent pages as the disk holds them.
  func add(
    _ pages: Range<Int64>, _ bytes: UnsafeRawBufferPointer, diskIndex: Int, grid: PageGrid
  ) throws(StandbyError) {
    if diskIndex != self.diskIndex || pages.lowerBound < (runs.last?.pages.upperBound ?? 0) { try flush() }
    self.diskIndex = diskIndex
    for page in pages {
      let start = Int(page - pages.lowerBound) * grid.pageSizeBytes
      let content = bytes.part(start, min(grid.pageSizeBytes, bytes.count - start))
      try add(page, content, isZero: ZeroTest.isZero(content))
    }
  }

  /// Adds adjacent pages that are zero.
  func addZeros(_ pages: Range<Int64>, diskIndex: Int) throws(StandbyError) {
    let follows = diskIndex == self.diskIndex && pages.lowerBound >= (runs.last?.pages.upperBound ?? 0)
    if !follows || runs.count >= Limits.runsPerBatch { try flush() }
    self.diskIndex = diskIndex
    let count = Int64(pages.count)
    if let last = runs.last, last.kind == .zero, last.pages.upperBound == pages.lowerBound {
      runs[runs.count - 1] = PageRun(
        kind: .zero, firstPage: last.firstPage, pageCount: last.pageCount + count)
    } else {
      runs.append(PageRun(kind: .zero, firstPage: pages.lowerBound, pageCount: count))
    }
    pageCount += count
  }

  /// Adds a batch of another undo file as it is: its disk has the same index here.
  func copy(_ batch: BatchRecord, _ body: UnsafeRawBufferPointer) throws(StandbyError) {
    try flush()
    try writer.append(.batch, [body])
    pageCount += batch.runs.reduce(0) { $0 + $1.pageCount }
  }

  private func add(_ page: Int64, _ content: UnsafeRawBufferPointer, isZero: Bool) throws(StandbyError) {
    if runs.count >= Limits.runsPerBatch || (!isZero && rawCount + content.count > raw.bytes.count) {
      try flush()
    }
    let kind: PageRun.Kind = isZero ? .zero : .data
    if !isZero {
      raw.bytes.put(content, at: rawCount)
      rawCount += content.count
    }
    if let last = runs.last, last.kind == kind, last.pages.upperBound == page {
      runs[runs.count - 1] = PageRun(kind: kind, firstPage: last.firstPage, pageCount: last.pageCount + 1)
    } else {
      runs.append(PageRun(kind: kind, firstPage: page, pageCount: 1))
    }
    pageCount += 1
  }

  private func flush() throws(StandbyError) {
    if runs.isEmpty { return }
    let data = raw.readable.part(0, rawCount)
    let (codec, payload) = pack(data)
    let head = BatchRecord.encodeHead(
      diskIndex: diskIndex, codec: codec, runs: runs, rawLength: rawCount, digestCount: 0,
      payloadLength: payload.count)
    try head.reading { (head) throws(StandbyError) in try writer.append(.batch, [head, payload]) }
    runs.removeAll(keepingCapacity: true)
    rawCount = 0
  }

  /// Raw where packing does not save a sixteenth.
  private func pack(_ data: UnsafeRawBufferPointer) -> (Codec, UnsafeRawBufferPointer) {
    if data.isEmpty || CompressibilityProbe.looksIncompressible(data) { return (.raw, data) }
    let room = packed.bytes.part(0, data.count - data.count / 16)
    // A codec that fails costs space, nothing else.
    guard let count = try? compressor.compress(data, into: room) else { return (.raw, data) }
    return (.zstd, packed.readable.part(0, count))
  }

  /// Writes what is left, makes it durable, seals it and makes the seal durable.
  func seal() throws(StandbyError) {
    try flush()
    try writer.sync()
    let seal = try RecordJSON.encode(SealRecord(pages: pageCount))
    try seal.reading { (bytes) throws(StandbyError) in try writer.append(.seal, [bytes]) }
    try writer.sync()
  }
}
