import ReplDigest
import ReplIO
import ReplModel

/// Notes what a verification has found, with the standby held: nothing moves meanwhile.
struct VerifyConclusion {
  let standby: Standby
  let request: VerifyRequest
  /// The data files as they were before the first read.
  let marks: [DiskID: FileGeneration]

  func draw(from found: [VerifyReport]) throws(StandbyError) -> VerifyOutcome {
    try standby.checkVerifiable()
    guard let point = standby.catalog.newest else { preconditionFailure("checked above") }
    var reports: [VerifyReport] = []
    for report in found { reports.append(try confirm(report, at: point)) }
    // A pass that settled meanwhile has written the files as well.
    let isTouched = standby.catalog.divergence != nil || reports.contains { $0.touched != nil }
    if isTouched, reports.allSatisfy(\.isOfOnePoint) { try checkStill() }
    let isWhole =
      request.choice == .everything && request.disk == nil
      && reports.map(\.disk) == point.disks.map(\.disk)
      && reports.allSatisfy { $0.isOfOnePoint && $0.point == point.reference }
    var wantedPages: Int64 = 0
    if request.repairs {
      wantedPages = try standby.repair(reports, isWhole: isWhole)
    } else {
      try standby.note(reports, isWhole: isWhole)
    }
    return VerifyOutcome(
      point: point.reference, reports: reports, isWholePoint: isWhole, suspicion: standby.catalog.suspicion,
      divergence: standby.catalog.divergence, wantedPages: wantedPages)
  }

  /// A difference is believed when it is there a second time, and when the map is what its root says.
  private func confirm(_ report: VerifyReport, at point: RecoveryPoint) throws(StandbyError) -> VerifyReport {
    var report = report
    guard let member = point.disk(report.disk) else {
      report.obstacle = "the disk is no longer in the newest recovery point"
      return report
    }
    report.touched = try touched(member.disk)
    guard report.differingCount > 0 else { return report }
    // Whatever is wrong with the map, the disk itself is asked then.
    if let map = standby.trustedMap(of: member, at: point), (try? map.verify()) != nil {
      let second = DiskVerifier(
        member.disk, .pages(report.differingRanges.ranges), listLimit: request.listLimit)
      _ = try second.run(on: standby, point.reference, member, map) { (_) throws(StandbyError) in
        try standby.checkFailoverRequest()
        return true
      }
      report.replaceDifferences(by: second.report, listLimit: request.listLimit)
      return report
    }
    // The map is the one that is wrong, or both are: the disk itself tells.
    let proof = DiskVerifier(member.disk, .everything, listLimit: request.listLimit)
    try proof.prove(on: standby, point, member)
    return proof.report.touched(report.touched)
  }

  /// Who wrote the file since it was left, and while it was read.
  private func touched(_ disk: DiskID) throws(StandbyError) -> String? {
    guard let entry = standby.catalog.disk(disk) else { return nil }
    let file = try standby.openDiskFile(entry, .read)
    return try storing { () throws(IOError) in
      if let left = entry.generation, let change = try file.change(since: left) { return change }
      return nil
    }
  }

  /// Throws when somebody wrote a disk of a diverged standby while it was read: what was found says nothing
  /// then.
  func checkStill() throws(StandbyError) {
    for (disk, mark) in marks {
      guard let entry = standby.catalog.disk(disk) else { continue }
      let file = try standby.openDiskFile(entry, .read)
      if let change = try storing({ () throws(IOError) in try file.change(since: mark) }) {
        throw .diverged(disk: disk, page: nil, detail: "while it was read, \(change): end that first")
      }
    }
  }
}

extension VerifyReport {
  fileprivate func touched(_ change: String?) -> VerifyReport {
    var report = self
    report.touched = change
    return report
  }
}
