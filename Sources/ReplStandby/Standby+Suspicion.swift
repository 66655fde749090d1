import ReplIO
import ReplModel

extension Standby {
  /// Notes what a verification has found, durably: differences make the standby suspect, a file that somebody
  /// else wrote makes it diverged, and a whole point without any gets the time at which it was verified.
  func note(_ reports: [VerifyReport], isWhole: Bool) throws(StandbyError) {
    let now = store.time.wallTime()
    let isTouched = reports.contains { $0.touched != nil }
    let isIdentical = reports.allSatisfy { $0.verdict == .identical }
    let isNothingWanted = isIdentical ? try wantedList().isEmpty : false
    var next = catalog
    if let suspicion = Self.suspicion(from: reports, at: now) { next.suspicion = suspicion }
    if let touched = Self.divergence(from: reports, at: now), next.divergence == nil {
      next.divergence = touched
    }
    if isWhole, isNothingWanted {
      next.suspicion = nil
      if !isTouched, next.divergence == nil { next.kept[next.kept.count - 1].verifiedAt = now }
    }
    if next != catalog { try update { $0 = next } }
  }

  /// Differences that nothing explains, or nil.
  static func suspicion(from reports: [VerifyReport], at now: WallTime) -> Suspicion? {
    let differing = reports.filter { $0.verdict == .differing }
    guard let first = differing.first else { return nil }
    let count = differing.reduce(0) { $0 + $1.differingCount }
    let detail: String
    if differing.contains(where: \.isMapLost) {
      detail =
        "its content has not the root of the newest recovery point, and the map that would tell which pages "
        + "differ is lost: repair it with \"repl-receiver verify --repair\""
    } else {
      let page = first.differing.first.map { ", the first is page \($0) of disk \(first.disk)" } ?? ""
      detail =
        "\(count) page(s) are not what replication wrote\(page): repair them with "
        + "\"repl-receiver verify --repair\""
    }
    return Suspicion(at: now, disk: first.disk, pageCount: count, detail: detail)
  }

  private static func divergence(from reports: [VerifyReport], at now: WallTime) -> Catalog.Divergence? {
    guard let report = reports.first(where: { $0.touched != nil }), let touched = report.touched else {
      return nil
    }
    return Catalog.Divergence(at: now, disk: report.disk, page: report.differing.first, detail: touched)
  }

  /// Notes that the standby must not be started as it is.
  func markSuspect(_ suspicion: Suspicion) throws(StandbyError) {
    try update { $0.suspicion = suspicion }
  }
}
