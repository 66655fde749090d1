import ReplModel

/// Which recovery points a standby keeps. The receiver's alone: ages are counted from the commit, by the
/// receiver's clock, so that no sender can shorten anything.
public struct RetentionPolicy: Sendable, Hashable {
  /// The newest points, whatever their age; at least 1.
  public var last: Int
  /// The first point of each of so many hours, days and weeks (UTC, weeks begin on Monday) that have any.
  public var hourly: Int
  public var daily: Int
  public var weekly: Int
  /// Every point younger than this is kept, and neither budget nor lack of space drops it.
  public var floorSeconds: Double
  /// Bytes that the undo files of one VM may take; beyond it the oldest point goes, unless it must stay. Nil:
  /// no budget.
  public var budgetBytes: Int64?

  public init(
    last: Int, hourly: Int, daily: Int, weekly: Int, floorSeconds: Double, budgetBytes: Int64? = nil
  ) {
    precondition(last >= 1, "the newest point is always kept")
    self.last = last
    self.hourly = hourly
    self.daily = daily
    self.weekly = weekly
    self.floorSeconds = floorSeconds
    self.budgetBytes = budgetBytes
  }

  /// An hour of every point, then a day by hours, a week by days, a month by weeks.
  public static let standard = RetentionPolicy(last: 4, hourly: 24, daily: 7, weekly: 4, floorSeconds: 3600)
}

/// Why a point is dropped.
public enum DropReason: String, Sendable, Hashable, Codable {
  /// The retention's count and ladder do not ask for it any more.
  case aged
  /// There are more points than a standby can have.
  case crowded
  /// The budget for undo files is used up.
  case budget
  /// The store, or the catalog, has no room for what comes.
  case space
  /// A disk came back, and its first copy overwrites what the point needs of it.
  case returned
}

/// Which points of a standby are dropped now.
struct RetentionPlan {
  let policy: RetentionPolicy
  /// Newest last.
  let points: [RecoveryPoint]
  /// Points that somebody needs: pinned, being read, or promoted.
  let needed: Set<PointReference>
  /// By the point to which the undo file leads back.
  let undoBytes: [PointReference: Int64]
  let now: WallTime

  private static let hour: Int64 = 3600
  private static let day: Int64 = 86_400
  /// 1970-01-05 was a Monday.
  private static let mondayShift: Int64 = 4 * day

  /// Older first.
  func drops() -> [PointReference: DropReason] {
    let wanted = wanted()
    var drops: [PointReference: DropReason] = [:]
    for point in points where !wanted.contains(point.reference) { drops[point.reference] = .aged }
    for reference in overBudget(besides: drops) { drops[reference] = .budget }
    for reference in crowded(besides: drops) { drops[reference] = .crowded }
    return drops
  }

  /// Those that nobody may end before their time, older first: somebody needs them, or they are younger than
  /// the floor.
  func protected(among references: [PointReference]) -> [PointReference] {
    let asked = Set(references)
    return points.filter { point in
      asked.contains(point.reference)
        && (needed.contains(point.reference) || age(point) < policy.floorSeconds)
    }.map(\.reference)
  }

  /// The oldest points that may go for want of space, in the order in which they go: only those at the old
  /// end, for a point in the middle frees nothing by itself.
  func droppableForSpace() -> [PointReference] {
    points.prefix { mayBeForced(out: $0) }.map(\.reference)
  }

  /// What is kept whatever the ladder says: the newest, and the newest that failover takes by default.
  private var untouchable: Set<PointReference> {
    var kept = needed
    if let newest = points.last { kept.insert(newest.reference) }
    if let sound = points.last(where: { $0.label != .fuzzy }) { kept.insert(sound.reference) }
    return kept
  }

  private func age(_ point: RecoveryPoint) -> Double { now.seconds(since: point.committedAt) }

  private func mayBeForced(out point: RecoveryPoint) -> Bool {
    !untouchable.contains(point.reference) && age(point) >= policy.floorSeconds
  }

  private func wanted() -> Set<PointReference> {
    var wanted = untouchable
    wanted.formUnion(points.suffix(policy.last).map(\.reference))
    wanted.formUnion(points.filter { age($0) < policy.floorSeconds }.map(\.reference))
    wanted.formUnion(rung(Self.hour, 0, policy.hourly))
    wanted.formUnion(rung(Self.day, 0, policy.daily))
    wanted.formUnion(rung(7 * Self.day, Self.mondayShift, policy.weekly))
    return wanted
  }

  /// The first point of each of the `count` newest spans of time that have any. The first: once chosen it
  /// stays, however many follow in its span.
  private func rung(_ seconds: Int64, _ shift: Int64, _ count: Int) -> [PointReference] {
    var (spans, firsts): (Int, [PointReference]) = (0, [])
    var current: Int64?
    for point in points.reversed() {
      let span = (point.committedAt.millisecondsSince1970 / 1000 - shift) / seconds
      if span != current {
        guard spans < count else { break }
        spans += 1
        current = span
        firsts.append(point.reference)
      } else {
        firsts[firsts.count - 1] = point.reference
      }
    }
    return firsts
  }

  private func overBudget(besides drops: [PointReference: DropReason]) -> [PointReference] {
    guard let budget = policy.budgetBytes else { return [] }
    let left = points.filter { drops[$0.reference] == nil }
    var total = left.reduce(0) { $0 + (undoBytes[$1.reference] ?? 0) }
    var dropped: [PointReference] = []
    // Only from the old end: what is dropped in the middle goes into the undo file of an older point.
    for point in left {
      guard total > budget, mayBeForced(out: point) else { break }
      total -= undoBytes[point.reference] ?? 0
      dropped.append(point.reference)
    }
    return dropped
  }

  /// Past the limit, those that lie closest to their neighbours in time: the history gets coarser, not
  /// shorter.
  private func crowded(besides drops: [PointReference: DropReason]) -> [PointReference] {
    var left = points.filter { drops[$0.reference] == nil }
    var dropped: [PointReference] = []
    while left.count > Limits.points {
      let candidates = left.indices.dropFirst().dropLast().filter {
        !untouchable.contains(left[$0].reference)
      }
      let closest = candidates.min { gap(around: $0, left) < gap(around: $1, left) }
      guard let closest else { break }
      dropped.append(left.remove(at: closest).reference)
    }
    return dropped
  }

  private func gap(around index: Int, _ points: [RecoveryPoint]) -> Int64 {
    points[index + 1].committedAt.millisecondsSince1970 - points[index - 1].committedAt.millisecondsSince1970
  }
}
