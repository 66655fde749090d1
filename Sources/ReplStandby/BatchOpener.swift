import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// Inflates batches and digests their pages, one at a time, in memory that is used again.
final class BatchOpener {
  private let raw = AlignedBuffer(byteCount: Limits.batchBytes)
  private let digestMemory: AlignedBuffer
  private let decompressor = Decompressor()

  init() {
    // The smallest pages, and a short one at the end.
    digestMemory = AlignedBuffer(byteCount: (Limits.batchBytes / 4096 + 1) * PageDigest.byteCount)
  }

  /// The bytes of a batch's data runs; valid until the next call.
  func inflate(
    _ codec: Codec, _ payload: UnsafeRawBufferPointer, rawLength: Int
  ) throws(CompressionError) -> UnsafeRawBufferPointer {
    // Raw bytes need no copy.
    if codec == .raw && payload.count == rawLength { return payload }
    let target = raw.bytes.part(0, rawLength)
    try decompressor.decompress(codec, payload, into: target)
    return UnsafeRawBufferPointer(target)
  }

  /// The digests of the data runs' pages, in order; valid until the next call.
  func digests(
    of data: UnsafeRawBufferPointer, runs: [PageRun], grid: PageGrid, _ digester: PageDigester
  ) throws(DigestError) -> UnsafeBufferPointer<PageDigest> {
    let all = digestMemory.bytes.bindMemory(to: PageDigest.self)
    var (offset, count) = (0, 0)
    for run in runs where run.kind == .data {
      let length = Int(grid.bytes(of: run.pages).length)
      let pages = Int(run.pageCount)
      try digester.digest(
        pages: data.part(offset, length), pageSizeBytes: grid.pageSizeBytes,
        into: UnsafeMutableBufferPointer(rebasing: all[count..<(count + pages)]))
      offset += length
      count += pages
    }
    return UnsafeBufferPointer(rebasing: all[0..<count])
  }
}
