import ReplModel

/// Byte ranges of a disk that may have changed: in order, without overlaps, in bounded memory. Where there
/// are too many, neighbours are joined: more is read then, never less.
public struct HintedRanges: Sendable, Hashable {
  /// 64 Ki ranges are 1 MiB; a disk that is cut finer than that gains nothing from more.
  public static let standardLimit = 1 << 16

  /// In order; between two of them lies at least one byte.
  public private(set) var ranges: [ByteRange] = []
  private let limit: Int
  private var isSorted = true

  /// None. `limit`: how many are kept apart.
  public init(limit: Int = HintedRanges.standardLimit) {
    precondition(limit > 0, "a limit")
    self.limit = limit
  }

  /// Of any ranges, in any order.
  public init(_ ranges: some Sequence<ByteRange>, limit: Int = HintedRanges.standardLimit) {
    self.init(limit: limit)
    for range in ranges { add(range) }
    settle()
  }

  /// The bytes of all ranges; call `settle` first.
  public var byteCount: Int64 { ranges.reduce(0) { $0 + $1.length } }

  /// One more range, anywhere. Call `settle` after the last.
  public mutating func add(_ range: ByteRange) {
    if range.isEmpty { return }
    if let last = ranges.last, range.offset >= last.offset, isSorted {
      if range.offset <= last.end {
        let end = max(last.end, range.end)
        ranges[ranges.count - 1] = ByteRange(offset: last.offset, length: end - last.offset)
        return
      }
    } else if !ranges.isEmpty {
      isSorted = false
    }
    ranges.append(range)
    if ranges.count >= 2 * limit { settle() }
  }

  /// Brings the ranges in order and below the limit.
  public mutating func settle() {
    if !isSorted {
      ranges.sort { $0.offset < $1.offset }
      isSorted = true
    }
    join(gap: 0)
    guard ranges.count > limit else { return }
    // The smallest gaps go first: what is read in vain is as little as can be.
    let gaps = zip(ranges, ranges.dropFirst()).map { $1.offset - $0.end }.sorted()
    join(gap: gaps[ranges.count - limit - 1])
  }

  private mutating func join(gap: Int64) {
    var kept = 0
    for index in ranges.indices {
      let range = ranges[index]
      if kept > 0, range.offset - ranges[kept - 1].end <= gap {
        let start = ranges[kept - 1].offset
        let end = max(ranges[kept - 1].end, range.end)
        ranges[kept - 1] = ByteRange(offset: start, length: end - start)
      } else {
        ranges[kept] = range
        kept += 1
      }
    }
    ranges.removeLast(ranges.count - kept)
  }

  /// Whether any byte of `range` is in one of the ranges.
  public func touches(_ range: ByteRange) -> Bool {
    guard let next = first(endingAfter: range.offset) else { return false }
    return next.intersection(range) != nil
  }

  /// The first range that ends after `offset`.
  public func first(endingAfter offset: Int64) -> ByteRange? {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].end <= offset { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count ? ranges[low] : nil
  }
}
