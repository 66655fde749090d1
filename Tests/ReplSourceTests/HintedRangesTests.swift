import ReplModel
import ReplTestKit
import Testing

@testable import ReplSource

@Suite struct HintedRangesTests {
  private func range(_ offset: Int64, _ length: Int64) -> ByteRange {
    ByteRange(offset: offset, length: length)
  }

  @Test("ranges in any order come out in order, joined where they touch or overlap")
  func joins() {
    let ranges = HintedRanges([range(50, 10), range(0, 10), range(10, 5), range(55, 20), range(3, 0)])
    #expect(ranges.ranges == [range(0, 15), range(50, 25)])
    #expect(ranges.byteCount == 40)
  }

  @Test("past the limit the nearest are joined, and no byte is lost")
  func bounded() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    var ranges = HintedRanges(limit: 8)
    var all: [ByteRange] = []
    for _ in 0..<1000 {
      let one = range(
        Int64.random(in: 0..<1_000_000, using: &random), Int64.random(in: 1...64, using: &random))
      all.append(one)
      ranges.add(one)
    }
    ranges.settle()
    #expect(ranges.ranges.count <= 8, "seed \(seed)")
    for one in all {
      #expect(ranges.ranges.contains { $0.offset <= one.offset && one.end <= $0.end }, "seed \(seed)")
    }
    let far = HintedRanges([range(0, 1), range(10, 1), range(500, 1)], limit: 2)
    #expect(far.ranges == [range(0, 11), range(500, 1)])
  }

  @Test("a range is touched from its first byte to its last, and not beside it")
  func touches() {
    let ranges = HintedRanges([range(100, 10), range(200, 10)])
    #expect(ranges.touches(range(109, 1)) && ranges.touches(range(0, 101)) && ranges.touches(range(150, 60)))
    #expect(
      !ranges.touches(range(110, 90)) && !ranges.touches(range(0, 100)) && !ranges.touches(range(210, 9)))
    #expect(!HintedRanges().touches(range(0, 1000)))
  }
}

@Suite struct HintAuditTests {
  private static let day: Int64 = 86_400_000

  private func time(_ milliseconds: Int64) -> WallTime { WallTime(millisecondsSince1970: milliseconds) }

  @Test(
    "passes at any distance read every leaf within the days of a turn, and each pass reads one at least",
    arguments: [Int64(1), 3, 255, 16_384, 50_001])
  func wholeTurn(_ leafCount: Int64) {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    var now = Self.day
    var turn = HintAudit.Turn(nextSlice: 0, at: time(now))
    var read = Set<Int64>()
    let end = now + 7 * Self.day
    while now < end {
      now += Int64.random(in: 60_000...Self.day, using: &random)
      let audit = HintAudit(leafCount: leafCount, turn: turn, now: time(now), days: 7)
      var position: Int64 = 0
      var count = 0
      while let leaf = audit.nextLeaf(atOrAfter: position) {
        #expect(audit.contains(leaf) && leaf >= position && leaf < leafCount)
        read.insert(leaf)
        count += 1
        position = leaf + 1
      }
      #expect(count > 0, "seed \(seed)")
      turn = audit.next(at: time(now))
    }
    #expect(read.count == Int(leafCount), "seed \(seed)")
  }

  @Test("a turn is spread over its days, and a clock that was set back reads the least")
  func spread() {
    let turn = HintAudit.Turn(nextSlice: 100, at: time(10 * Self.day))
    let minute = HintAudit(leafCount: 1 << 20, turn: turn, now: time(10 * Self.day + 60_000), days: 7)
    #expect(minute.count == 2 && minute.first == 100)
    let back = HintAudit(leafCount: 1 << 20, turn: turn, now: time(0), days: 7)
    #expect(back.count == 1)
    let late = HintAudit(leafCount: 1 << 20, turn: turn, now: time(18 * Self.day), days: 7)
    #expect(late.count == late.sliceCount)
    let hostile = HintAudit.Turn(nextSlice: .min + 1, at: time(0))
    #expect(HintAudit(leafCount: 5, turn: hostile, now: time(1), days: 7).first < 5)
  }
}
