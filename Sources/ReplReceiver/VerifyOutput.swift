import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// What a verification found, as it is shown and as `--json` prints it.
struct VerifyOutput: Encodable {
  struct Part: Encodable {
    /// Bytes of the disk.
    let offset: Int64
    let length: Int64
    let page: Int64
  }

  struct Unreadable: Encodable {
    let offset: Int64
    let length: Int64
    let errno: Int32?
    let cause: String
  }

  struct Disk: Encodable {
    let disk: DiskID
    let slot: String
    let file: String
    let verdict: VerifyReport.Verdict
    let pageSizeBytes: Int?
    let pages: Int64?
    /// Known: read, or holding nothing by disk and map.
    let pagesChecked: Int64
    let pagesRead: Int64
    let pagesInUse: Int64
    let differingPages: Int64
    let differing: [Part]
    let unreadableBytes: Int64
    let unreadable: [Unreadable]
    let listIsCutShort: Bool
    /// The map was lost; the disk has the root of the point, which proves every page.
    let provenByRoot: Bool
    /// The map was lost, and the disk has not that root: which pages differ is not known.
    let mapIsLost: Bool
    let obstacle: String?
    /// Who else wrote the file.
    let touched: String?
  }

  let vm: VMID
  let name: String
  let point: String
  let verdict: VerifyReport.Verdict
  let wholePoint: Bool
  let sampleShare: Double?
  let sampleSeed: UInt64?
  let startedAt: WallTime
  let repaired: Bool
  let wantedPages: Int64
  let suspect: Bool
  let diverged: Bool
  let disks: [Disk]
  /// Of a verified older point.
  let older: Older?

  struct Older: Encodable {
    let point: String
    let answer: PointVerdict.Answer
    let detail: String?
  }

  init(
    _ outcome: VerifyOutcome, _ found: StandbySearch.Found, choice: VerifyChoice, repairs: Bool,
    from began: WallTime, older verdict: PointVerdict? = nil
  ) {
    older = verdict.map { Older(point: "\($0.point)", answer: $0.answer, detail: $0.detail) }
    vm = found.catalog.vm
    name = SafeText.printable(found.catalog.displayName)
    point = "\(outcome.point)"
    self.verdict = outcome.verdict
    wholePoint = outcome.isWholePoint
    if case .sample(let share, let seed) = choice {
      (sampleShare, sampleSeed) = (share, seed)
    } else {
      (sampleShare, sampleSeed) = (nil, nil)
    }
    startedAt = began
    repaired = repairs
    wantedPages = outcome.wantedPages
    suspect = outcome.suspicion != nil
    diverged = outcome.divergence != nil
    disks = outcome.reports.map { Self.disk($0, found.catalog) }
  }

  private static func disk(_ report: VerifyReport, _ catalog: Catalog) -> Disk {
    let entry = catalog.disk(report.disk)
    let parts = report.differing.compactMap { page in
      report.grid.map { grid in
        let bytes = grid.bytes(of: page..<(page + 1))
        return Part(offset: bytes.offset, length: bytes.length, page: page)
      }
    }
    return Disk(
      disk: report.disk, slot: entry.map { "\($0.slot)" } ?? "?", file: entry?.flatFileName ?? "?",
      verdict: report.verdict, pageSizeBytes: report.grid?.pageSizeBytes, pages: report.grid?.pageCount,
      pagesChecked: report.pagesChecked, pagesRead: report.pagesRead, pagesInUse: report.candidatePages,
      differingPages: report.differingCount, differing: parts, unreadableBytes: report.unreadableBytes,
      unreadable: report.unreadable.map {
        Unreadable(offset: $0.bytes.offset, length: $0.bytes.length, errno: $0.code, cause: $0.cause)
      },
      listIsCutShort: report.isCutShort, provenByRoot: report.isProvenByRoot, mapIsLost: report.isMapLost,
      obstacle: report.obstacle, touched: report.touched)
  }

  // MARK: - For people

  var lines: [String] {
    var lines = disks.flatMap(lines(of:))
    switch verdict {
    case .identical:
      lines.append(
        sampleShare == nil
          ? "\(name): identical with recovery point \(point)"
          : "\(name): the sample (seed \(sampleSeed ?? 0)) is identical with recovery point \(point)")
    case .differing: lines.append("\(name): DIFFERS from recovery point \(point)")
    case .inconclusive: lines.append("\(name): inconclusive: not everything could be read and compared")
    }
    if wantedPages > 0 {
      lines.append("\(wantedPages) page(s) are wanted: the next pass brings them besides its own changes")
    } else if verdict == .differing {
      lines.append("to repair it: repl-receiver verify --repair; until then failover needs --force")
    }
    if let older {
      lines.append(
        "\(name): recovery point \(older.point) is \(older.answer.rawValue)"
          + (older.detail.map { ": \(SafeText.printable($0, limit: 512))" }
            ?? ": disks and undo files lead to it"))
    }
    if diverged {
      lines.append(
        "the standby is diverged: replication to it has stopped; run repl-receiver adopt --verify")
    }
    return lines
  }

  private func lines(of disk: Disk) -> [String] {
    let name = "\(disk.slot) (\(disk.file))"
    var lines: [String] = []
    if let touched = disk.touched { lines.append("\(name): somebody else's hand: \(touched)") }
    let read = "read \(disk.pagesRead) of \(disk.pagesInUse) pages in use"
    lines.append("\(name): \(disk.verdict.rawValue), \(read)" + proof(disk))
    for part in disk.differing {
      lines.append("\(name): page \(part.page) differs: \(part.length) bytes at byte \(part.offset)")
    }
    if disk.differingPages > Int64(disk.differing.count) {
      lines.append(
        "\(name): \(disk.differingPages) pages differ, the first \(disk.differing.count) are listed")
    }
    for part in disk.unreadable {
      lines.append("\(name): \(part.length) bytes at byte \(part.offset) cannot be read: \(part.cause)")
    }
    if let obstacle = disk.obstacle { lines.append("\(name): \(obstacle)") }
    return lines
  }

  private func proof(_ disk: Disk) -> String {
    if disk.provenByRoot {
      return
        "; its map was lost and made anew from the disk: that has the root of the point, so every page is"
        + " right"
    }
    if disk.mapIsLost {
      return "; its map is lost and what is on the disk has not the root of the point: which pages differ is "
        + "not known; after --repair the next pass compares all of it with the source"
    }
    return ""
  }
}
