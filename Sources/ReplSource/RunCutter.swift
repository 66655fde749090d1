import Glibc
import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// Cuts differing pages into runs and collects the runs in batches: one open batch for data that looks
/// compressible, one for data that does not, so that neither spoils the other.
struct RunCutter {
  /// The pages of one read: digests as found and as the receiver holds them, and the bytes read.
  struct Comparison {
    let fresh: UnsafeBufferPointer<PageDigest>
    let held: UnsafeBufferPointer<PageDigest>
    let firstPage: Int64
    let data: UnsafeRawBufferPointer
  }

  private let scan: PageScan
  private var compressible: OutgoingBatch?
  private var incompressible: OutgoingBatch?

  init(scan: PageScan) { self.scan = scan }

  /// False when the scan was stopped.
  mutating func cut(
    _ pages: Comparison, grid: PageGrid, diskIndex: Int, leaf: Int64, counts: inout PageScan.Counts
  ) -> Bool {
    let most = max(1, scan.batchLimitBytes / grid.pageSizeBytes)
    var index = 0
    while index < pages.fresh.count {
      guard pages.fresh[index] != pages.held[index] else {
        index += 1
        continue
      }
      let isZero = pages.fresh[index].isZero
      var end = index + 1
      while end < pages.fresh.count, end - index < most, pages.fresh[end] != pages.held[end],
        pages.fresh[end].isZero == isZero
      {
        end += 1
      }
      let first = pages.firstPage + Int64(index)
      let bytes = grid.bytes(of: first..<(first + Int64(end - index)))
      counts.changedBytes += bytes.length
      if isZero {
        counts.zeroPages += Int64(end - index)
        guard addZero(first, count: end - index, diskIndex: diskIndex, leaf: leaf) else { return false }
      } else {
        counts.dataPages += Int64(end - index)
        let start = index * grid.pageSizeBytes
        let run = DataRun(
          firstPage: first, digests: UnsafeBufferPointer(rebasing: pages.fresh[index..<end]),
          data: UnsafeRawBufferPointer(rebasing: pages.data[start..<(start + Int(bytes.length))]))
        guard addData(run, diskIndex: diskIndex, leaf: leaf) else { return false }
      }
      index = end
    }
    return true
  }

  private struct DataRun {
    let firstPage: Int64
    let digests: UnsafeBufferPointer<PageDigest>
    let data: UnsafeRawBufferPointer
  }

  private mutating func addZero(_ firstPage: Int64, count: Int, diskIndex: Int, leaf: Int64) -> Bool {
    guard let batch = openBatch(compressible: true, diskIndex: diskIndex, leaf: leaf, room: 0) else {
      return false
    }
    batch.append(kind: .zero, firstPage: firstPage, pageCount: Int64(count))
    return true
  }

  private mutating func addData(_ run: DataRun, diskIndex: Int, leaf: Int64) -> Bool {
    let shrinks = scan.codec != .raw && !CompressibilityProbe.looksIncompressible(run.data)
    let room = run.data.count
    guard let batch = openBatch(compressible: shrinks, diskIndex: diskIndex, leaf: leaf, room: room) else {
      return false
    }
    memcpy(batch.buffer.bytes.baseAddress! + batch.rawLength, run.data.baseAddress!, run.data.count)
    batch.rawLength += run.data.count
    batch.digests.append(contentsOf: run.digests)
    batch.append(kind: .data, firstPage: run.firstPage, pageCount: Int64(run.digests.count))
    return true
  }

  private mutating func openBatch(
    compressible wanted: Bool, diskIndex: Int, leaf: Int64, room: Int
  ) -> OutgoingBatch? {
    if let open = wanted ? compressible : incompressible {
      let fits =
        open.diskIndex == diskIndex && open.rawLength < PageScan.Limits.batchTargetBytes
        && open.rawLength + room <= scan.batchLimitBytes && open.runs.count < 4096
      if fits { return open }
      close(wanted)
    }
    guard let buffer = scan.buffers.pop() else { return nil }
    let batch = OutgoingBatch(
      token: scan.tracker.hold(leaf), diskIndex: diskIndex, buffer: buffer, tryCompression: wanted)
    if wanted { compressible = batch } else { incompressible = batch }
    return batch
  }

  private mutating func close(_ wanted: Bool) {
    guard let batch = wanted ? compressible : incompressible else { return }
    if wanted { compressible = nil } else { incompressible = nil }
    scan.found.push(batch)
  }

  /// Hands over what is still open.
  mutating func flush() {
    close(true)
    close(false)
  }
}
