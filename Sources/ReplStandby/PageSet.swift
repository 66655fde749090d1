/// A set of pages inside one window of a disk, as bits; memory is used where pages are.
struct PageSet {
  /// Pages of one piece: 32 KiB of bits, 1 GiB of disk with pages of 4 KiB.
  private static let pagesPerPiece: Int64 = 1 << 18
  /// Pages of a window: at most 64 MiB of bits for a window that is full.
  static let windowPages: Int64 = 1 << 29

  private var pieces: [Int64: [UInt64]] = [:]

  init() {}

  /// Puts pages in. Answers those that were not there, as ascending ranges.
  mutating func insert(_ pages: Range<Int64>) -> [Range<Int64>] {
    var fresh: [Range<Int64>] = []
    var page = pages.lowerBound
    while page < pages.upperBound {
      let piece = page / Self.pagesPerPiece
      let end = min(pages.upperBound, (piece + 1) * Self.pagesPerPiece)
      insert(page..<end, piece, &fresh)
      page = end
    }
    return fresh
  }

  private mutating func insert(_ pages: Range<Int64>, _ piece: Int64, _ fresh: inout [Range<Int64>]) {
    let base = piece * Self.pagesPerPiece
    var words = pieces.removeValue(forKey: piece) ?? Array(repeating: 0, count: Int(Self.pagesPerPiece / 64))
    var page = pages.lowerBound
    while page < pages.upperBound {
      let (word, bit) = Int(page - base).quotientAndRemainder(dividingBy: 64)
      let count = min(64 - bit, Int(pages.upperBound - page))
      let mask = (count == 64 ? UInt64.max : (1 << UInt64(count)) - 1) << UInt64(bit)
      Self.append(mask & ~words[word], wordStart: page - Int64(bit), to: &fresh)
      words[word] |= mask
      page += Int64(count)
    }
    pieces[piece] = words
  }

  /// Adds the pages whose bits are set.
  private static func append(_ bits: UInt64, wordStart: Int64, to ranges: inout [Range<Int64>]) {
    var rest = bits
    while rest != 0 {
      let first = rest.trailingZeroBitCount
      let length = (~(rest >> UInt64(first))).trailingZeroBitCount
      let start = wordStart + Int64(first)
      let end = start + Int64(length)
      if let last = ranges.last, last.upperBound == start {
        ranges[ranges.count - 1] = last.lowerBound..<end
      } else {
        ranges.append(start..<end)
      }
      rest = first + length >= 64 ? 0 : rest & (UInt64.max << UInt64(first + length))
    }
  }
}
