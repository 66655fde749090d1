import ReplModel

/// When which VM is due: pure bookkeeping on the monotonic clock.
///
/// A pass of a VM never overlaps another one of it; at most `limit` run at once; of those that are due the
/// one with the oldest point goes first. A pass that takes long (a first copy, storage that hangs) gives its
/// place to others: as many long ones again may run besides, so that a few slow VMs do not make all others
/// late. A failed pass is tried again sooner than its interval, after a
/// growing pause.
public struct PassSchedule<Key: Hashable & Sendable>: Sendable {
  /// First pause after a failure, doubled for every further one up to the VM's interval, seconds.
  static var firstRetrySeconds: Double { 5 }
  /// A pass that runs longer does not count against the limit: one without many changes takes a second.
  static var longPassSeconds: Double { 120 }

  private struct Entry {
    var intervalSeconds: Double
    var dueAtSeconds: Double
    /// Monotonic seconds at which the newest point was frozen; nil before the first.
    var newestPointAtSeconds: Double?
    var isRunning = false
    var startedAtSeconds = 0.0
    /// Goes when its pass has ended: until then it counts, and must not run twice.
    var isRemoved = false
    var failures = 0
  }

  private var entries: [Key: Entry] = [:]
  private let limit: Int

  public init(limit: Int) { self.limit = limit }

  /// A new VM is due at once. One that is there gets the interval, and is due an interval from now at the
  /// latest.
  public mutating func add(_ key: Key, intervalSeconds: Double, nowSeconds: Double) {
    guard var entry = entries[key] else {
      entries[key] = Entry(intervalSeconds: intervalSeconds, dueAtSeconds: nowSeconds)
      return
    }
    entry.isRemoved = false
    entry.intervalSeconds = intervalSeconds
    entry.dueAtSeconds = min(entry.dueAtSeconds, nowSeconds + intervalSeconds)
    entries[key] = entry
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
      && entries.values.contains { !$0.isRunning && $0.dueAtSeconds <= nowSeconds }
  }

  /// Takes the VM whose pass begins now; nil when none is due or the limit is reached.
  public mutating func takeDue(nowSeconds: Double) -> Key? {
    guard hasPlace(nowSeconds: nowSeconds) else { return nil }
    let due = entries.filter { !$0.value.isRunning && $0.value.dueAtSeconds <= nowSeconds }
    let oldest = due.min { left, right in
      let leftAge = left.value.newestPointAtSeconds ?? -.infinity
      let rightAge = right.value.newestPointAtSeconds ?? -.infinity
      return (leftAge, left.value.dueAtSeconds) < (rightAge, right.value.dueAtSeconds)
    }
    guard let key = oldest?.key else { return nil }
    entries[key]?.isRunning = true
    entries[key]?.startedAtSeconds = nowSeconds
    return key
  }

  /// A pass that began at `startedSeconds` committed: the next one is due an interval after that start.
  public mutating func committed(_ key: Key, startedSeconds: Double, nowSeconds: Double) {
    guard var entry = takeEnded(key) else { return }
    entry.failures = 0
    entry.newestPointAtSeconds = startedSeconds
    entry.dueAtSeconds = max(nowSeconds, startedSeconds + entry.intervalSeconds)
    entries[key] = entry
  }

  /// A pass ended without a commit. `jitter` is 0..<1 and keeps many VMs from trying in step.
  public mutating func failed(
    _ key: Key, remedy: Remedy, retryAfterSeconds: Double?, jitter: Double, nowSeconds: Double
  ) {
    guard var entry = takeEnded(key) else { return }
    entry.failures += 1
    // A VM that needs a person is looked at again each interval: the person may have acted.
    let backoff = Self.firstRetrySeconds * Double(1 << min(entry.failures - 1, 16)) * (0.75 + jitter / 2)
    let pause = remedy == .stopVM ? entry.intervalSeconds : min(backoff, entry.intervalSeconds)
    entry.dueAtSeconds = nowSeconds + max(pause, retryAfterSeconds ?? 0)
    entries[key] = entry
  }

  /// The entry of a VM whose pass has ended; nil when it is to stay away.
  private mutating func takeEnded(_ key: Key) -> Entry? {
    guard var entry = entries.removeValue(forKey: key), !entry.isRemoved else { return nil }
    entry.isRunning = false
    return entry
  }

  /// Seconds until something is due; nil when nothing is waiting.
  public func secondsUntilDue(nowSeconds: Double) -> Double? {
    guard hasPlace(nowSeconds: nowSeconds) else { return nil }
    let waiting = entries.values.filter { !$0.isRunning }
    return waiting.map { max(0, $0.dueAtSeconds - nowSeconds) }.min()
  }

  private func hasPlace(nowSeconds: Double) -> Bool {
    let short = entries.values.count { entry in
      entry.isRunning && nowSeconds - entry.startedAtSeconds < Self.longPassSeconds
    }
    return short < limit && runningCount < 2 * limit
  }

  public var runningCount: Int { entries.values.count(where: \.isRunning) }
}
