import ReplModel

extension Catalog {
  /// Enters damage that waits for a repair; what waited before on these disks is replaced.
  mutating func mark(_ found: [PointReference: [DiskDamage]], replacing disks: Set<DiskID>) {
    // Many disks and points that are badly damaged would make a catalog of lists.
    let isTooMuch = found.values.joined().reduce(0) { $0 + $1.pages.count } > Limits.damagedRangesInAll
    let damage = isTooMuch ? found.mapValues { $0.map(\.unlisted) } : found
    for index in kept.indices {
      kept[index].damage.removeAll { disks.contains($0.disk) && $0.waitsForRepair == true }
      kept[index].damage += damage[kept[index].reference] ?? []
      if damage[kept[index].reference] != nil { kept[index].verifiedAt = nil }
    }
  }

  /// An undo file is damaged: the points behind it cannot be had any more.
  mutating func markLostWay(through step: PointReference, detail: String) {
    for index in kept.indices where kept[index].reference <= step && !kept[index].hasLostWay {
      guard let disk = kept[index].point.disks.first?.disk else { continue }
      kept[index].damage.append(
        DiskDamage(disk: disk, pages: [], pageCount: 0, detail: "the way back to it is lost: \(detail)"))
      kept[index].verifiedAt = nil
    }
  }

  /// The repairing pass is in the disks: points are right again but for the pages that are lost.
  mutating func resolveDamage(of disk: DiskID, lost: PageRangeList) {
    for index in kept.indices {
      let waiting = kept[index].damage.filter { $0.disk == disk && $0.waitsForRepair == true }
      guard !waiting.isEmpty else { continue }
      kept[index].damage.removeAll { $0.disk == disk && $0.waitsForRepair == true }
      let gone = waiting.reduce(PageRangeList()) { $0.union($1.lostPart(lost)) }
      guard !gone.isEmpty else { continue }
      kept[index].damage.append(
        DiskDamage(
          disk: disk, pages: Array(gone.ranges.prefix(Limits.damagedRanges)), pageCount: gone.pageCount,
          detail: "the pages were not what replication wrote, and the source had changed them before they "
            + "could be repaired"))
    }
  }
}

extension KeptPoint {
  /// An undo file on the way to it is damaged.
  var hasLostWay: Bool {
    damage.contains { $0.pages.isEmpty && $0.pageCount == 0 && $0.waitsForRepair != true }
  }
}

extension DiskDamage {
  fileprivate var unlisted: DiskDamage {
    DiskDamage(disk: disk, pages: [], pageCount: pageCount, detail: detail, waitsForRepair: waitsForRepair)
  }

  /// Those of the lost pages that are meant here; all of them where not every page is listed.
  fileprivate func lostPart(_ lost: PageRangeList) -> PageRangeList {
    let listed = PageRangeList(pages)
    let isComplete = !pages.isEmpty && pages.count < Limits.damagedRanges
    return isComplete ? lost.intersection(listed) : lost
  }
}
