import ReplDigest
import ReplModel

/// The wanted pages of one disk while a pass is settled: says which of them the pass makes right again, and
/// which cannot be had any more as the base point had them.
final class WantedPages {
  private let pages: PageRangeList
  /// Nobody knows which pages differ, for the base map is lost.
  private let isMapLost: Bool
  /// The pass brings the disk to the very content that the base point had.
  private let isUnchanged: Bool
  private var lost = PageBag()
  private var brought = PageBag()
  private var stayed = PageBag()
  /// Of the run that is being saved: its batch's digests from the run's first page on. The memory is that of
  /// the record.
  private var run: PageRun?
  private var digests: UnsafeRawBufferPointer?

  init(_ entry: WantedList.Disk, isMapLost: Bool, isUnchanged: Bool) {
    pages = entry.pages
    self.isMapLost = isMapLost
    self.isUnchanged = isUnchanged
  }

  var ranges: [Range<Int64>] { pages.ranges.map(\.pages) }

  func covers(_ page: Int64) -> Bool { pages.contains(page) }

  /// The next run; `dataPages` stand before it in its batch.
  func begin(_ run: PageRun, of batch: BatchRecord, dataPages: Int) {
    self.run = run
    digests = nil
    if run.kind == .data, batch.hasDigests {
      let start = dataPages * PageDigest.byteCount
      digests = batch.digestBytes.part(start, Int(run.pageCount) * PageDigest.byteCount)
    }
    brought.add(run.pages, within: pages)
    if isMapLost && !isUnchanged { lost.add(run.pages, within: pages) }
  }

  /// A wanted page of this run differs from the base map: right again when the run brings just what the map
  /// says. Of a page that comes twice, one other version is enough to call it lost.
  func brings(_ page: Int64, expected: PageDigest) {
    guard let run else { preconditionFailure("a page belongs to a run") }
    let new: PageDigest? =
      run.kind == .zero
      ? .zero : digests?.digest(at: Int(page - run.firstPage) * PageDigest.byteCount)
    if new != expected { lost.add(page..<(page + 1)) }
  }

  /// A wanted page that differs from the base map, whether the pass brings it or not.
  func stays(_ page: Int64) { stayed.add(page..<(page + 1)) }

  /// Without a base map: whether pages are saved as they are. They are not when they will be what the base
  /// point had.
  func isSavedBlindly(_ pages: Range<Int64>) -> Bool { !(isMapLost && isUnchanged) }

  /// Everything that is wanted when it is too much to tell.
  var lostList: PageRangeList {
    if lost.isTooMuch || brought.isTooMuch || stayed.isTooMuch { return pages }
    return lost.list.union(stayed.list.subtracting(brought.exactList ?? PageRangeList()))
  }
}
