import ReplModel

/// Which leaves of a disk a pass reads although the hint calls them unchanged.
///
/// Leaf *n* belongs to slice *n* mod `sliceCount`, so that a slice is spread over the whole disk and costs
/// what its share of the disk's data costs. Slices are read in turn, as many at a time as have to be for a
/// whole turn to take no longer than the configured days.
public struct HintAudit: Sendable, Hashable {
  /// A slice of a full disk of 16 TiB is 1 GiB: no pass is held up by the least that it reads.
  static let slices: Int64 = 16_384

  /// Where the turn of a disk stands.
  public struct Turn: Sendable, Hashable, Codable {
    /// The slice that is read next.
    public var nextSlice: Int64
    /// When the pass was frozen that read the last one.
    public var at: WallTime

    public init(nextSlice: Int64, at: WallTime) {
      self.nextSlice = nextSlice
      self.at = at
    }
  }

  let leafCount: Int64
  let sliceCount: Int64
  /// The slices of this pass: from `first` on, around the end.
  let first: Int64
  let count: Int64

  /// For a view frozen `now`; a whole turn takes `days`. A clock that was set back counts as no time: the
  /// pass reads one slice.
  public init(leafCount: Int64, turn: Turn, now: WallTime, days: Double) {
    self.leafCount = leafCount
    sliceCount = max(1, min(Self.slices, leafCount))
    first = ((turn.nextSlice % sliceCount) + sliceCount) % sliceCount
    let share = max(0, now.seconds(since: turn.at)) / (max(days, 1e-9) * 86_400)
    // One more than the time asks for, so that passes at any distance end the turn in time.
    count = share >= 1 ? sliceCount : min(sliceCount, Int64(share * Double(sliceCount)) + 1)
  }

  /// Where the turn stands after this pass.
  public func next(at now: WallTime) -> Turn { Turn(nextSlice: (first + count) % sliceCount, at: now) }

  func contains(_ leaf: Int64) -> Bool {
    (leaf % sliceCount - first + sliceCount) % sliceCount < count
  }

  /// The first leaf at or after `leaf` that is read.
  func nextLeaf(atOrAfter leaf: Int64) -> Int64? {
    let start = max(0, leaf)
    if start >= leafCount { return nil }
    if contains(start) { return start }
    let distance = (first - start % sliceCount + sliceCount) % sliceCount
    return start + distance < leafCount ? start + distance : nil
  }
}
