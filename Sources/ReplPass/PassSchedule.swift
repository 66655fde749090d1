import ReplModel

/// When which VM is due: pure bookkeeping on the monotonic clock.
///
/// A VM is due an interval after the start of its last pass, and earlier where that would come too late: so
/// early that a pass as long as those before it commits before the objective is missed (`PassPlan`).
/// A pass of a VM never overlaps another one of it; at most `limit` run at once; of those that are due the
/// one that must start first goes first. A pass that takes long (a first copy, storage that hangs) gives its
/// place to others: as many long ones again may run besides, so that a few slow VMs do not make all others
/// late. One that does not get on at all (storage that does not answer keeps its thread for ever) does not
/// even count among those, as long as few hang. A failed pass is tried again sooner than its interval, after
/// a growing pause.
public struct PassSchedule<Key: Hashable & Sendable>: Sendable {
  /// First pause after a failure, doubled for every further one up to the VM's interval, seconds.
  static var firstRetrySeconds: Double { 5 }
  /// A pass that runs longer does not count against the limit: one without many changes takes a second.
  static var longPassSeconds: Double { 120 }
  /// A pass that has not got on for so long hangs, as far as places go: longer than a hook or a busy receiver
  /// keeps one waiting in general.
  static var hangSeconds: Double { 300 }
  /// Of passes that hang, each of which keeps a thread, some descriptors and up to 20 MiB.
  static var hangingLimit: Int { 32 }

  struct Entry {
    var terms: PassTerms
    /// By the interval, or by the pause after a failure.
    var dueAtSeconds: Double
    /// By the objective; nil where nothing is known to start earlier for.
    var startBySeconds: Double?
    /// A start for the objective's sake leaves a rest after the pass before.
    var restedAtSeconds = -Double.infinity
    /// Monotonic seconds at which the newest point was frozen; nil before the first.
    var newestPointAtSeconds: Double?
    /// Another VM went first although this one was the first: that happens once, else it never has its turn
    /// where places are short.
    var wasPassedOver = false
    var isRunning = false
    var startedAtSeconds = 0.0
    /// When the pass that runs was last seen to get on.
    var movedAtSeconds = 0.0
    /// Goes when its pass has ended: until then it counts, and must not run twice.
    var isRemoved = false
    var failures = 0

    var deadlineSeconds: Double? {
      guard let newestPointAtSeconds, let rpo = terms.rpoSeconds else { return nil }
      return newestPointAtSeconds + rpo
    }

    /// After a failure only the pause counts: it knows of the objective.
    var startsAtSeconds: Double {
      guard failures == 0, let startBySeconds else { return dueAtSeconds }
      return min(dueAtSeconds, max(startBySeconds, restedAtSeconds))
    }

    /// Who goes first: no point at all, then who must start first. A pass that always comes too late is
    /// urgent since its VM has rested, no earlier: it must not stand before all others for ever.
    var urgency: (Double, Double) {
      guard let newestPointAtSeconds else { return (-.infinity, dueAtSeconds) }
      guard let by = startBySeconds ?? deadlineSeconds else { return (newestPointAtSeconds, dueAtSeconds) }
      return (max(by, restedAtSeconds), dueAtSeconds)
    }
  }

  private(set) var entries: [Key: Entry] = [:]
  let limit: Int

  public init(limit: Int) { self.limit = limit }

  /// A new VM is due at once; `pointAgeSeconds` is the age of its newest point, where it has one. One that is
  /// there gets the terms, and is due an interval from now at the latest.
  public mutating func add(_ key: Key, terms: PassTerms, pointAgeSeconds: Double? = nil, nowSeconds: Double) {
    let known = entries[key]
    var entry = known ?? Entry(terms: terms, dueAtSeconds: nowSeconds)
    if known == nil { entry.newestPointAtSeconds = pointAgeSeconds.map { nowSeconds - $0 } }
    let isNews = known == nil || entry.terms != terms || entry.isRemoved
    entry.isRemoved = false
    entry.terms = terms
    entry.dueAtSeconds = min(entry.dueAtSeconds, nowSeconds + terms.intervalSeconds)
    entries[key] = entry
    if isNews { plan(nowSeconds: nowSeconds) }
  }

  /// No more passes of this VM. One that runs goes on to its end and counts until then; nothing when the VM
  /// is not there.
  public mutating func remove(_ key: Key) {
    if entries[key]?.isRunning == true { entries[key]?.isRemoved = true } else { entries[key] = nil }
  }

  /// The VMs that passes are made of, in no order.
  public var keys: Set<Key> { Set(entries.filter { !$0.value.isRemoved }.keys) }

  /// Whether a VM is due and waits for a pass of another one to end.
  public func isPlaceWanted(nowSeconds: Double) -> Bool {
    !hasPlace(nowSeconds: nowSeconds)
      && entries.values.contains { !$0.isRunning && $0.startsAtSeconds <= nowSeconds }
  }

  /// Takes the VM whose pass begins now; nil when none is due or the limit is reached.
  public mutating func takeDue(nowSeconds: Double) -> Key? {
    guard hasPlace(nowSeconds: nowSeconds) else { return nil }
    let due = entries.filter { !$0.value.isRunning && $0.value.startsAtSeconds <= nowSeconds }
    let first = due.min { $0.value.urgency < $1.value.urgency }
    guard let first else { return nil }
    let key = hurried(before: first.value, nowSeconds: nowSeconds) ?? first.key
    if key != first.key { entries[first.key]?.wasPassedOver = true }
    entries[key]?.wasPassedOver = false
    entries[key]?.isRunning = true
    entries[key]?.startedAtSeconds = nowSeconds
    entries[key]?.movedAtSeconds = nowSeconds
    plan(nowSeconds: nowSeconds)
    return key
  }

  /// The pass of this VM has got on since the last look.
  public mutating func noteMoved(_ key: Key, nowSeconds: Double) {
    entries[key]?.movedAtSeconds = nowSeconds
  }

  /// The VM that must start before a pass of `entry` would be done, while there is only one place for both;
  /// nil when there is none, and when that one has gone behind already.
  private func hurried(before entry: Entry, nowSeconds: Double) -> Key? {
    let isLastPlace =
      shortCount(nowSeconds: nowSeconds) == limit - 1
      || movingCount(nowSeconds: nowSeconds) == 2 * limit - 1
    guard isLastPlace, !entry.wasPassedOver, let expected = entry.terms.expectedSeconds else { return nil }
    let end = nowSeconds + min(expected, Self.longPassSeconds)
    let hurried = entries.filter { _, other in
      guard !other.isRunning, !other.isRemoved, other.failures == 0, let by = other.startBySeconds else {
        return false
      }
      // One that is too late already has no more right than the others.
      return by >= nowSeconds && by < end && other.restedAtSeconds <= nowSeconds
    }
    return hurried.min { $0.value.urgency < $1.value.urgency }?.key
  }

  /// A pass that began at `startedSeconds` committed: the next one is due an interval after that start, or
  /// earlier, where it is expected to take `expectedSeconds` and would miss the objective.
  public mutating func committed(
    _ key: Key, startedSeconds: Double, expectedSeconds: Double? = nil, nowSeconds: Double
  ) {
    defer { plan(nowSeconds: nowSeconds) }
    guard var entry = takeEnded(key, nowSeconds: nowSeconds) else { return }
    if let expectedSeconds { entry.terms.expectedSeconds = expectedSeconds }
    entry.failures = 0
    entry.newestPointAtSeconds = startedSeconds
    entry.dueAtSeconds = max(nowSeconds, startedSeconds + entry.terms.intervalSeconds)
    entries[key] = entry
  }

  /// A pass ended without a commit. `jitter` is 0..<1 and keeps many VMs from trying in step.
  public mutating func failed(
    _ key: Key, remedy: Remedy, retryAfterSeconds: Double?, jitter: Double, nowSeconds: Double
  ) {
    defer { plan(nowSeconds: nowSeconds) }
    guard var entry = takeEnded(key, nowSeconds: nowSeconds) else { return }
    entry.failures += 1
    let interval = entry.terms.intervalSeconds
    let backoff = Self.firstRetrySeconds * Double(1 << min(entry.failures - 1, 16)) * (0.75 + jitter / 2)
    // A VM that needs a person is looked at again each interval: the person may have acted.
    let pause = remedy == .stopVM ? interval : min(backoff, interval, patience(entry, nowSeconds: nowSeconds))
    entry.dueAtSeconds = nowSeconds + max(pause, retryAfterSeconds ?? 0)
    entries[key] = entry
  }

  /// A long pause must not be the reason why the objective is missed.
  private func patience(_ entry: Entry, nowSeconds: Double) -> Double {
    guard let deadline = entry.deadlineSeconds else { return .infinity }
    let left = deadline - PassPlan.reservedSeconds(entry.terms.expectedSeconds ?? 0) - nowSeconds
    return left > Self.firstRetrySeconds ? left : .infinity
  }

  /// The entry of a VM whose pass has ended; nil when it is to stay away.
  private mutating func takeEnded(_ key: Key, nowSeconds: Double) -> Entry? {
    guard var entry = entries.removeValue(forKey: key), !entry.isRemoved else { return nil }
    entry.isRunning = false
    // A seed session after the pass is no pass: it lasts until the next one is due, and needs no rest after
    // it.
    let lasted = nowSeconds - entry.startedAtSeconds
    let pass = min(lasted, entry.terms.expectedSeconds ?? lasted)
    entry.restedAtSeconds = nowSeconds + PassPlan.restSeconds(after: pass)
    return entry
  }

  /// When each VM must start, all of them taken together. The pass that runs now changes what is due next.
  private mutating func plan(nowSeconds: Double) {
    let waiting = entries.filter { !$0.value.isRunning && !$0.value.isRemoved }
    let jobs = waiting.compactMap { key, entry -> PassPlan.Job<Key>? in
      guard let deadline = entry.deadlineSeconds, let expected = entry.terms.expectedSeconds else {
        return nil
      }
      return PassPlan.Job(key: key, deadlineSeconds: deadline, expectedSeconds: expected)
    }
    let starts = PassPlan.latestStarts(
      jobs, places: limit, longPassSeconds: Self.longPassSeconds, nowSeconds: nowSeconds)
    for key in waiting.keys { entries[key]?.startBySeconds = starts[key] }
  }

  /// Seconds until something is due; nil when nothing is waiting.
  public func secondsUntilDue(nowSeconds: Double) -> Double? {
    guard hasPlace(nowSeconds: nowSeconds) else { return nil }
    let waiting = entries.values.filter { !$0.isRunning }
    return waiting.map { max(0, $0.startsAtSeconds - nowSeconds) }.min()
  }

  private func hasPlace(nowSeconds: Double) -> Bool {
    let moving = movingCount(nowSeconds: nowSeconds)
    return shortCount(nowSeconds: nowSeconds) < limit && moving < 2 * limit
      && runningCount - moving < Self.hangingLimit
  }

  private func shortCount(nowSeconds: Double) -> Int {
    entries.values.count { $0.isRunning && nowSeconds - $0.startedAtSeconds < Self.longPassSeconds }
  }

  /// Those that run and do not hang.
  func movingCount(nowSeconds: Double) -> Int {
    entries.values.count { $0.isRunning && nowSeconds - $0.movedAtSeconds < Self.hangSeconds }
  }

  public var runningCount: Int { entries.values.count(where: \.isRunning) }
}
