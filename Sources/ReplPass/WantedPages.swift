import ReplModel

/// Pages that arrived damaged and have not come again: nothing is committed while there are any.
struct WantedPages {
  private struct Wanted {
    let disk: Int
    let pages: Range<Int64>
    let count: Int
  }

  private var wanted: [Wanted] = []
  /// `resend` messages sent so far.
  private(set) var resendsSent: Int64 = 0

  /// A peer that damages this much is not worth asking again.
  static let limit = 16_384

  var isTooMuch: Bool { wanted.count > Self.limit }
  var isEmpty: Bool { wanted.isEmpty }

  /// Notes the pages of a damaged batch. Answers how often the worst of them has been asked for, this time
  /// included.
  mutating func ask(_ runs: [PageRun], disk: Int) -> Int {
    var worst = 0
    for run in runs {
      let before = wanted.filter { $0.disk == disk && $0.pages.overlaps(run.pages) }.map(\.count).max() ?? 0
      wanted.append(Wanted(disk: disk, pages: run.pages, count: before + 1))
      worst = max(worst, before + 1)
    }
    resendsSent += 1
    return worst
  }

  /// Notes that pages came whole.
  mutating func arrived(_ runs: [PageRun], disk: Int) {
    if wanted.isEmpty { return }
    for run in runs {
      wanted = wanted.flatMap { $0.disk == disk ? Self.subtract(run.pages, from: $0) : [$0] }
    }
  }

  private static func subtract(_ pages: Range<Int64>, from wanted: Wanted) -> [Wanted] {
    let rest = [
      wanted.pages.lowerBound..<min(wanted.pages.upperBound, max(pages.lowerBound, wanted.pages.lowerBound)),
      max(wanted.pages.lowerBound, min(pages.upperBound, wanted.pages.upperBound))..<wanted.pages.upperBound,
    ]
    return rest.filter { !$0.isEmpty }.map { Wanted(disk: wanted.disk, pages: $0, count: wanted.count) }
  }
}
