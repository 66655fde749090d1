import ReplDigest
import ReplIO
import ReplModel

extension Standby {
  /// The pages that are wanted again.
  func wantedList() throws(StandbyError) -> WantedList { try WantedList.load(from: home.privateDirectory) }

  /// Marks what differs as wanted, and the points that take such a page from the disk as damaged. Answers how
  /// many pages are wanted.
  ///
  /// After everything was read (`isWhole`) a divergence is over: what is there is known, and the data files
  /// are taken as they are now. The list is durable before the catalog says so.
  func repair(_ reports: [VerifyReport], isWhole: Bool) throws(StandbyError) -> Int64 {
    let isComplete = isWhole && reports.allSatisfy { $0.verdict != .inconclusive && $0.unreadableBytes == 0 }
    guard catalog.divergence == nil || isComplete else {
      try note(reports, isWhole: isWhole)
      throw .notRepaired(
        detail: "the standby is diverged, and not all of it could be read: nothing is repaired before it is")
    }
    let differing = reports.filter { $0.verdict == .differing }
    // All is known: whatever an earlier list says, and also when that one is damaged.
    var wanted = isComplete ? WantedList() : try wantedList()
    for report in differing {
      wanted.add(report.disk, report.wantedRanges, isMapLost: report.isMapLost)
    }
    try wanted.save(in: home.privateDirectory)
    var generations: [DiskID: FileGeneration] = [:]
    if isComplete {
      for report in reports { generations[report.disk] = try durableGeneration(of: report.disk) }
    }
    var damage: [PointReference: [DiskDamage]] = [:]
    for report in differing { try addDamage(report, to: &damage) }
    let now = store.time.wallTime()
    try update { catalog in
      catalog.suspicion =
        Self.suspicion(from: reports, at: now).map { $0.waitingForPass } ?? catalog.suspicion
      if isComplete {
        catalog.divergence = nil
        if differing.isEmpty {
          catalog.suspicion = nil
          catalog.kept[catalog.kept.count - 1].verifiedAt = now
        }
      }
      for index in catalog.disks.indices {
        if let mark = generations[catalog.disks[index].disk] { catalog.disks[index].generation = mark }
      }
      // All is known: what an earlier look found and this one did not is right again.
      catalog.mark(damage, replacing: Set((isComplete ? reports : differing).map(\.disk)))
    }
    return differing.reduce(0) { $0 + $1.wantedRanges.pageCount }
  }

  /// The data file as it is now, with its time on stable storage.
  func durableGeneration(of disk: DiskID) throws(StandbyError) -> FileGeneration? {
    guard let entry = catalog.disk(disk) else { return nil }
    let file = try openDiskFile(entry, .read)
    return try storing { () throws(IOError) in
      try file.syncWithTimes()
      return try file.generation()
    }
  }

  /// For every kept point: those of the pages that it would take from the disk, which none of the undo files
  /// from it up holds.
  private func addDamage(
    _ report: VerifyReport, to damage: inout [PointReference: [DiskDamage]]
  ) throws(StandbyError) {
    var left = report.wantedRanges
    for (index, kept) in catalog.kept.enumerated().reversed() where kept.point.disk(report.disk) != nil {
      if index < catalog.kept.count - 1 {
        left = left.subtracting(try savedPages(backTo: kept.reference, of: report.disk, among: left))
      }
      guard !left.isEmpty else { return }
      damage[kept.reference, default: []].append(
        DiskDamage(
          disk: report.disk, pages: Array(left.ranges.prefix(Limits.damagedRanges)),
          pageCount: report.isMapLost ? 0 : left.pageCount,
          detail: report.isMapLost
            ? "the disk was found not to be what replication wrote, and which pages differ is not known"
            : "the pages were found not to be what replication wrote",
          waitsForRepair: true))
    }
  }

  /// Those of `wanted` that the undo file back to a point holds. Too few when they are too many to be kept in
  /// memory: then more counts as damaged than is.
  private func savedPages(
    backTo reference: PointReference, of disk: DiskID, among wanted: PageRangeList
  ) throws(StandbyError) -> PageRangeList {
    let name = StandbyLayout.undo(backTo: reference)
    guard try storing({ () throws(IOError) in try home.points.contains(name) }) else {
      return PageRangeList()
    }
    let file = try storing { () throws(IOError) in try home.points.openFile(name, .read) }
    guard let reader = try RecordReader.open(file),
      let index = reader.header.description.disks.firstIndex(where: { $0.disk == disk })
    else { return PageRangeList() }
    var saved = PageBag()
    while let record = try reader.next() {
      guard record.type == .batch, let batch = BatchRecord(record, disks: reader.header.description.disks),
        batch.diskIndex == index
      else { continue }
      for run in batch.runs { saved.add(run.pages, within: wanted) }
    }
    return saved.exactList ?? PageRangeList()
  }
}

extension VerifyReport {
  /// What the next pass looks at: everything when it is not known.
  var wantedRanges: PageRangeList {
    guard isMapLost, let grid else { return differingRanges }
    var all = PageRangeList()
    all.append(0..<grid.pageCount)
    return all
  }
}

extension Suspicion {
  fileprivate var waitingForPass: Suspicion {
    Suspicion(
      at: at, disk: disk, pageCount: pageCount,
      detail: (pageCount > 0 ? "\(pageCount) page(s)" : "pages that are not known")
        + " are not what replication wrote: the next pass brings them")
  }
}

/// Pages in any order, at most so many ranges.
struct PageBag {
  private static let rangeLimit = 65_536

  private var ranges: [Range<Int64>] = []
  private(set) var isTooMuch = false

  /// Those of `pages` that `wanted` holds.
  mutating func add(_ pages: Range<Int64>, within wanted: PageRangeList) {
    for range in wanted.ranges(overlapping: pages) { add(pages.clamped(to: range.pages)) }
  }

  mutating func add(_ pages: Range<Int64>) {
    guard !pages.isEmpty else { return }
    guard ranges.count < Self.rangeLimit else { return isTooMuch = true }
    ranges.append(pages)
  }

  /// In order, each page once; joined where there are too many.
  var list: PageRangeList {
    var list = PageRangeList()
    var end: Int64 = 0
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      let start = max(end, range.lowerBound)
      if start < range.upperBound { list.append(start..<range.upperBound) }
      end = max(end, range.upperBound)
    }
    return list
  }

  /// Nil unless it holds just what was added.
  var exactList: PageRangeList? {
    let list = list
    return list.isExact && !isTooMuch ? list : nil
  }
}

extension PageRangeList {
  func ranges(overlapping pages: Range<Int64>) -> ArraySlice<PageRange> {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].pages.upperBound <= pages.lowerBound { low = middle + 1 } else { high = middle }
    }
    return ranges[low...].prefix { $0.pages.overlaps(pages) }
  }
}
