import ReplDigest
import ReplIO
import ReplModel

/// What a pass means for pages that are wanted, and for disks of which a sync has failed.
extension Settling {
  /// Before the undo file gets its name: which wanted pages the base point and those before it lose.
  func noteLost(_ lost: [DiskID: PageRangeList]) throws(StandbyError) {
    guard !lost.isEmpty else { return }
    for (disk, pages) in lost { wanted.note(WantedList.Lost(pass: point.pass, pages: pages), of: disk) }
    try wanted.save(in: standby.home.privateDirectory)
  }

  /// The wanted disks that this pass has brought, with what is lost. After a crash that came before the note
  /// was made, everything that was wanted counts as lost.
  var repaired: [DiskID: PageRangeList] {
    var repaired: [DiskID: PageRangeList] = [:]
    for entry in wanted.disks where header.disks.contains(where: { $0.disk == entry.disk }) {
      if stillUnknown.contains(entry.disk) { continue }
      repaired[entry.disk] = entry.lost?.pass == point.pass ? entry.lost?.pages : entry.pages
    }
    return repaired
  }

  /// Reads pages again that must be on the medium now: those that were wanted, and everything that the pass
  /// wrote to a disk of which a sync has failed. Throws when the latter are not there.
  func readBack() throws(StandbyError) {
    for (index, disk) in header.disks.enumerated() {
      guard let member = point.disk(disk.disk) else { continue }
      let map = standby.trustedMap(of: member, at: point)
      if isSuspect(disk.disk) {
        if let map {
          let report = try readBack(try journalledPages(of: index), member, map)
          if !report.isClean { throw notKept(Self.text(report)) }
        } else if let page = try JournalReadBack(settling: self, index: index).run() {
          throw notKept("page \(page) of disk \(disk.disk) is not what was written")
        }
        readBackDisks.insert(disk.disk)
      }
      guard let map, let entry = wanted.disk(disk.disk) else { continue }
      let report = try readBack(entry.pages, member, map)
      if !report.isClean { stillWrong[disk.disk] = report }
    }
  }

  func isSuspect(_ disk: DiskID) -> Bool {
    standby.catalog.disk(disk)?.isSuspect == true || standby.store.isSuspect(standby.suspicion(of: disk))
  }

  private func readBack(
    _ pages: PageRangeList, _ member: DiskPoint, _ map: DigestMap
  ) throws(StandbyError) -> VerifyReport {
    let verifier = DiskVerifier(member.disk, .pages(pages.ranges), listLimit: 1)
    _ = try verifier.run(on: standby, point.reference, member, map) { (_) throws(StandbyError) in true }
    return verifier.report
  }

  private func journalledPages(of index: Int) throws(StandbyError) -> PageRangeList {
    var bag = PageBag()
    try reader.rewind()
    while let record = try reader.next(), record.type != .commit {
      guard record.type == .batch, let batch = BatchRecord(record, disks: header.disks),
        batch.diskIndex == index
      else { continue }
      for run in batch.runs { bag.add(run.pages) }
    }
    guard bag.isTooMuch else { return bag.list }
    var all = PageRangeList()
    all.append(0..<header.disks[index].grid.pageCount)
    return all
  }

  private static func text(_ report: VerifyReport) -> String {
    report.differing.first.map { "page \($0) of disk \(report.disk) is not what was written" }
      ?? report.unreadable.first?.cause ?? "disk \(report.disk) cannot be read"
  }

  private func notKept(_ found: String) -> StandbyError {
    .storage(
      IOError(
        .damaged, "read back", path: standby.path,
        detail: "after a sync that failed, \(found): the storage does not keep what is written; the point is "
          + "not settled before it does"))
  }

  /// In the catalog that names the new point: what becomes of suspicion and damage.
  func resolveWanted(_ catalog: inout Catalog) {
    for (disk, lost) in repaired { catalog.resolveDamage(of: disk, lost: lost) }
    for index in catalog.disks.indices where readBackDisks.contains(catalog.disks[index].disk) {
      catalog.disks[index].isSuspect = false
    }
    guard !wanted.isEmpty else { return }
    if let wrong = stillWrong.values.first {
      catalog.suspicion = Suspicion(
        at: standby.store.time.wallTime(), disk: wrong.disk, pageCount: wrong.differingCount,
        detail: "pages that were brought again are not on the medium as they were written: the storage does "
          + "not keep what is written, or somebody else writes this disk")
    } else if Set(wanted.disks.map(\.disk)).isSubset(of: repaired.keys) {
      catalog.suspicion = nil
    }
  }

  /// After the catalog: what was brought is no longer wanted; what is still wrong is.
  func forgetWanted() throws(StandbyError) {
    // Also in a recovery that finds the point named already.
    var list = try standby.wantedList()
    guard !list.isEmpty else { return }
    let before = list
    for entry in list.disks where entry.lost?.pass == point.pass { list.remove(entry.disk) }
    for (disk, report) in stillWrong {
      list.remove(disk)
      var pages = report.differingRanges
      if pages.isEmpty, let all = wanted.disk(disk)?.pages { pages = all }
      list.add(disk, pages, isMapLost: false)
    }
    if list != before { try list.save(in: standby.home.privateDirectory) }
  }
}
