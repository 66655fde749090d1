import ReplModel

/// One bit per leaf (or per node of a level). As bytes: 64-bit little-endian words, bit *i* in word *i* / 64.
struct LeafBitmap: Sendable, Equatable {
  let bitCount: Int64
  private(set) var words: [UInt64]

  /// All clear.
  init(bitCount: Int64) {
    self.bitCount = bitCount
    words = [UInt64](repeating: 0, count: Int((bitCount + 63) / 64))
  }

  /// Nil when a bit past the end is set.
  init?(bitCount: Int64, words: [UInt64]) {
    precondition(words.count == Int((bitCount + 63) / 64), "one bit per leaf")
    self.bitCount = bitCount
    self.words = words
    let used = bitCount % 64
    if used != 0, words.last! >> UInt64(used) != 0 { return nil }
  }

  var setCount: Int64 { words.reduce(0) { $0 + Int64($1.nonzeroBitCount) } }

  func contains(_ index: Int64) -> Bool { words[Int(index / 64)] >> UInt64(index % 64) & 1 == 1 }

  mutating func insert(_ index: Int64) { words[Int(index / 64)] |= 1 << UInt64(index % 64) }

  mutating func removeAll() { for index in words.indices { words[index] = 0 } }

  /// The next set bit at or after `index`.
  func next(atOrAfter index: Int64) -> Int64? {
    guard index < bitCount else { return nil }
    var word = Int(index / 64)
    var bits = words[word] & (UInt64.max << UInt64(index % 64))
    while bits == 0 {
      word += 1
      guard word < words.count else { return nil }
      bits = words[word]
    }
    return Int64(word) * 64 + Int64(bits.trailingZeroBitCount)
  }

  /// The next run of adjacent set bits at or after `index`, cut at `limit` bits.
  func nextRun(atOrAfter index: Int64, limit: Int) -> Range<Int64>? {
    guard let start = next(atOrAfter: index) else { return nil }
    var end = start + 1
    while end < bitCount, end - start < Int64(limit), contains(end) { end += 1 }
    return start..<end
  }

  /// The bits of the level above: set where any of its 256 children is.
  func parents() -> LeafBitmap {
    var above = LeafBitmap(bitCount: (bitCount + 255) / 256)
    var position: Int64 = 0
    while let found = next(atOrAfter: position) {
      above.insert(found / 256)
      position = (found / 256 + 1) * 256
    }
    return above
  }
}
