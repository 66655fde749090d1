import ReplCompression
import Testing

@testable import ReplSource

/// How hard a pass compresses, from what it waits for.
@Suite struct CodecLadderTests {
  private typealias Observation = CodecLadder.Observation

  private static func seen(
    link: Double = 0, starved: Double = 0, codec: Double = 0, isLate: Bool = false
  ) -> Observation {
    Observation(elapsed: 1, link: link, starved: starved, codec: codec, isLate: isLate)
  }

  private func levels(_ codec: Codec, _ observations: [Observation]) -> [Int?] {
    var ladder = CodecLadder(codec: codec, threadCount: 2)
    return observations.map {
      ladder.decide($0)
      return ladder.level
    }
  }

  @Test(
    "a link that everybody waits for is worth more work, a step at a time, as long as there is time for it")
  func slowLink() {
    let slow = Self.seen(link: 0.9, codec: 0.1)
    #expect(levels(.zstd, [slow, slow, slow]) == [3, 6, 6])
    #expect(levels(.zlib, [slow, slow]) == [6, 6])
    // Level 6 would take 4.7 / 1.5 of 0.3 of one thread and a half: more than the threads have.
    #expect(levels(.zstd, [slow, Self.seen(link: 0.9, codec: 0.6)]) == [3, 3])
    #expect(levels(.zstd, [Self.seen(link: 0.9, codec: 1.1)]) == [1], "no time left for 1.5 times as much")
  }

  @Test("codec threads that everybody waits for do less, but send raw only where the pass would be late")
  func scarceProcessor() {
    let slow = Self.seen(link: 0.9, codec: 0.1)
    let scarce = Self.seen(starved: 0.9, codec: 1.9)
    let late = Self.seen(starved: 0.9, codec: 1.9, isLate: true)
    #expect(levels(.zstd, [slow, slow, scarce, scarce, scarce]) == [3, 6, 3, 1, 1])
    #expect(levels(.zstd, [scarce, late, late]) == [1, nil, nil])
    #expect(levels(.zlib, [late]) == [nil])
  }

  @Test("raw ends when the pass is in time again, or when the link is the scarce one")
  func rawEnds() {
    let late = Self.seen(starved: 0.9, codec: 1.9, isLate: true)
    #expect(levels(.zstd, [late, Self.seen(starved: 0.9, codec: 0.1, isLate: true)]) == [nil, nil])
    #expect(levels(.zstd, [late, Self.seen(starved: 0.1, codec: 0.1)]) == [nil, 1])
    #expect(levels(.zstd, [late, Self.seen(link: 0.9, codec: 0.1, isLate: true)]) == [nil, 1])
  }

  @Test("a slow source or a slow receiver changes nothing, nor does raw have a level")
  func others() {
    #expect(
      levels(.zstd, [Self.seen(starved: 0.95, codec: 0.2), Self.seen(link: 0.3, codec: 0.2)]) == [1, 1])
    #expect(
      levels(.raw, [Self.seen(link: 0.9), Self.seen(starved: 0.9, codec: 2, isLate: true)]) == [nil, nil])
  }
}
