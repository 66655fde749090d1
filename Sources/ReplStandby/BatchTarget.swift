import ReplDigest
import ReplIO
import ReplModel

/// One disk of a pass at the receiver: where its batches go, and what is known of its content.
protocol BatchTarget: AnyObject {
  var offered: PassOffer.Disk { get }
  var overlay: MapOverlay { get }
  /// Takes a batch that was verified: `data` are the data runs' bytes, `digests` those of their pages.
  func take(
    _ batch: ReceivedBatch, data: UnsafeRawBufferPointer, digests: UnsafeBufferPointer<PageDigest>
  ) throws(StandbyError)
}

/// The map of a disk as it was, and over it what the pass changes: together the map that results from what is
/// here.
final class MapOverlay {
  let base: DigestMap
  let delta: DigestDelta

  init(base: DigestMap, for disk: DiskID, in maps: any StorageDirectory) throws(StandbyError) {
    self.base = base
    delta = try digesting { () throws(DigestError) in
      try DigestDelta.create(StandbyLayout.delta(of: disk), in: maps, over: base)
    }
  }

  /// Notes the runs of a batch; `digests` are those of the data runs' pages, in order.
  func note(_ runs: [PageRun], _ digests: UnsafeBufferPointer<PageDigest>) throws(DigestError) {
    var count = 0
    for run in runs {
      switch run.kind {
      case .data:
        let part = UnsafeBufferPointer(rebasing: digests[count..<(count + Int(run.pageCount))])
        try delta.setPages(first: run.firstPage, part)
        count += part.count
      case .zero: try noteZeros(run.pages)
      }
    }
  }

  /// Leaves that are zero already are left out: a zero run may be as long as the disk.
  private func noteZeros(_ pages: Range<Int64>) throws(DigestError) {
    let zeros = [PageDigest](repeating: .zero, count: PageGrid.pagesPerLeaf)
    let perLeaf = Int64(PageGrid.pagesPerLeaf)
    var page = pages.lowerBound
    while page < pages.upperBound, let leaf = try delta.leafWithContent(atOrAfter: page / perLeaf) {
      page = max(page, leaf * perLeaf)
      let end = min(pages.upperBound, (leaf + 1) * perLeaf)
      guard page < end else { return }
      try zeros.withUnsafeBufferPointer { (buffer) throws(DigestError) in
        try delta.setPages(first: page, UnsafeBufferPointer(rebasing: buffer[0..<Int(end - page)]))
      }
      page = end
    }
  }
}
