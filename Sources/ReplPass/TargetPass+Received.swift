import ReplModel
import ReplProtocol

extension TargetPass.Received {
  /// Counts the pages of a batch. A run of zeros costs its sender a few bytes, whatever its length, and may
  /// come again and again: more than a commit could name is refused before it is counted.
  mutating func count(
    _ batch: Batch, grid: PageGrid
  ) throws(PassError) -> (dataPages: Int64, zeroPages: Int64) {
    // Runs of one batch do not overlap: neither sum is more than the disk has.
    let data = batch.runs.reduce(0) { $0 + ($1.kind == .data ? $1.pageCount : 0) }
    let zero = batch.runs.reduce(0) { $0 + ($1.kind == .zero ? $1.pageCount : 0) }
    let pages = dataPages.reduce(0, +) + zeroPages.reduce(0, +) + data + zero
    let (bytes, overflow) = changedBytes.addingReportingOverflow((data + zero) * Int64(grid.pageSizeBytes))
    guard pages <= Commit.largestCount, !overflow else {
      throw .refused(
        .limit,
        "the batches of this connection hold \(pages) pages, more than any disk has: "
          + "\(Commit.largestCount) are allowed; the pass ends")
    }
    batches += 1
    dataPages[batch.diskIndex] += data
    zeroPages[batch.diskIndex] += zero
    changedBytes = bytes
    return (data, zero)
  }
}
