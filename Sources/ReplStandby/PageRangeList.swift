import ReplModel

/// Pages of one disk in ascending order, in bounded memory: when there are too many ranges, those that lie
/// close together become one. What is listed covers all that was added, `pageCount` counts just that.
struct PageRangeList: Sendable, Hashable, Codable {
  private(set) var ranges: [PageRange] = []
  private(set) var pageCount: Int64 = 0
  /// Gaps up to so many pages are closed.
  private var joinedGap: Int64 = 0

  var isEmpty: Bool { ranges.isEmpty }
  /// Whether the ranges hold nothing but what was added.
  var isExact: Bool { joinedGap == 0 }

  /// Pages at or behind the end of those before.
  mutating func append(_ pages: Range<Int64>) {
    guard !pages.isEmpty else { return }
    pageCount += Int64(pages.count)
    join(pages)
    while ranges.count > Limits.listedRanges {
      joinedGap = max(1, joinedGap * 2)
      let all = ranges
      ranges = []
      for range in all { join(range.pages) }
    }
  }

  private mutating func join(_ pages: Range<Int64>) {
    if let last = ranges.last, pages.lowerBound - last.pages.upperBound <= joinedGap {
      let end = max(last.pages.upperBound, pages.upperBound)
      ranges[ranges.count - 1] = PageRange(first: last.first, count: end - last.first)
    } else {
      ranges.append(PageRange(first: pages.lowerBound, count: Int64(pages.count)))
    }
  }

  func contains(_ page: Int64) -> Bool {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].pages.upperBound <= page { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].pages.contains(page)
  }

  /// All pages of both.
  func union(_ other: PageRangeList) -> PageRangeList {
    let all = (ranges + other.ranges).map(\.pages).sorted { $0.lowerBound < $1.lowerBound }
    var result = PageRangeList()
    result.joinedGap = max(joinedGap, other.joinedGap)
    for pages in all { result.add(pages) }
    return result
  }

  /// The pages of both lists.
  func intersection(_ other: PageRangeList) -> PageRangeList {
    var result = PageRangeList()
    var (left, right) = (0, 0)
    while left < ranges.count, right < other.ranges.count {
      let (a, b) = (ranges[left].pages, other.ranges[right].pages)
      let common = a.clamped(to: b)
      if a.overlaps(b) { result.append(common) }
      if a.upperBound < b.upperBound { left += 1 } else { right += 1 }
    }
    return result
  }

  /// The pages that `other` has not.
  func subtracting(_ other: PageRangeList) -> PageRangeList {
    var result = PageRangeList()
    var next = other.ranges[...]
    for range in ranges {
      var start = range.first
      while let cut = next.first, cut.first < range.pages.upperBound {
        if cut.first > start { result.append(start..<cut.first) }
        start = max(start, cut.pages.upperBound)
        if cut.pages.upperBound > range.pages.upperBound { break }
        next = next.dropFirst()
      }
      if start < range.pages.upperBound { result.append(start..<range.pages.upperBound) }
    }
    return result
  }

  /// As `append`, for pages that may overlap with the last ones.
  private mutating func add(_ pages: Range<Int64>) {
    let start = max(pages.lowerBound, ranges.last?.pages.upperBound ?? pages.lowerBound)
    if start < pages.upperBound { append(start..<pages.upperBound) }
  }
}

extension PageRangeList {
  init(_ ranges: [PageRange]) {
    self.init()
    for range in ranges { append(range.pages) }
  }

  /// Whether the list is one that `append` can have made, for pages of a disk of `pageCount` pages.
  func isSound(pageCount limit: Int64) -> Bool {
    guard ranges.count <= Limits.listedRanges, pageCount >= 0, joinedGap >= 0 else { return false }
    var end: Int64 = 0
    for range in ranges {
      let (next, overflow) = range.first.addingReportingOverflow(range.count)
      guard range.first >= end, range.count > 0, !overflow, next <= limit else { return false }
      end = next
    }
    return true
  }
}
