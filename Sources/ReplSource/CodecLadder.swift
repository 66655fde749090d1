import ReplCompression

/// How hard page data is compressed, decided from what holds a pass back: while the link is what everybody
/// waits for and the codec threads have time left, a step up; while the codec threads are, a step down. To
/// raw only when the pass would be late for its RPO else: bytes on a wire cost others something, too.
public struct CodecLadder: Sendable {
  /// What happened since the last decision, seconds.
  public struct Observation: Sendable {
    /// On the clock.
    public var elapsed: Double
    /// The writer waited for the wire to take bytes, and not because the receiver was busy.
    public var link: Double
    /// The writer waited for a batch.
    public var starved: Double
    /// All codec threads together were at work.
    public var codec: Double
    /// At this pace the pass ends after its RPO is broken.
    public var isLate: Bool

    public init(elapsed: Double, link: Double, starved: Double, codec: Double, isLate: Bool) {
      self.elapsed = elapsed
      self.link = link
      self.starved = starved
      self.codec = codec
      self.isLate = isLate
    }
  }

  /// A step: the library's level, nil for raw, and what it costs beside level 1.
  private struct Step {
    let level: Int?
    let cost: Double
  }

  /// Waiting for more than this part of the time makes a stage the scarce one.
  private static let scarceShare = 0.6
  /// Codec threads that are at work for more than this part of the time have none left.
  private static let busyShare = 0.7
  private static let first = 1

  private let steps: [Step]
  private let threadCount: Int
  private var index = Self.first

  /// - Parameter threadCount: codec threads.
  public init(codec: Codec, threadCount: Int) {
    self.threadCount = threadCount
    // Measured on files of a Linux system in blocks of 512 KiB; steps that save less than a hundredth are
    // left out. Level 6 of zstd takes 3.5 MiB a thread, level 9 takes 12.5 for a thousandth.
    steps =
      switch codec {
      case .raw: []
      case .zlib: [Step(level: nil, cost: 0), Step(level: 1, cost: 1), Step(level: 6, cost: 2.5)]
      case .zstd:
        [
          Step(level: nil, cost: 0), Step(level: 1, cost: 1), Step(level: 3, cost: 1.5),
          Step(level: 6, cost: 4.7),
        ]
      }
  }

  /// The library's level to compress with; nil for raw.
  public var level: Int? { steps.isEmpty ? nil : steps[index].level }

  /// Takes one step at most. To be called every half second or so: shorter times say little.
  public mutating func decide(_ seen: Observation) {
    guard !steps.isEmpty, seen.elapsed > 0 else { return }
    let busy = seen.codec / seen.elapsed / Double(threadCount)
    if index < Self.first, !seen.isLate {
      index = Self.first
    } else if seen.link / seen.elapsed >= Self.scarceShare {
      guard index + 1 < steps.count else { return }
      let (now, next) = (steps[index].cost, steps[index + 1].cost)
      // What raw batches cost says nothing; level 1 keeps up with any link that is the slower one.
      if now == 0 || busy * next / now <= Self.busyShare { index += 1 }
    } else if seen.starved / seen.elapsed >= Self.scarceShare, busy >= Self.busyShare {
      if index > Self.first || (index == Self.first && seen.isLate) { index -= 1 }
    }
  }
}
