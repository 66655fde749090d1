/// What is to be expected of the passes that wait.
extension PassSchedule {
  /// One VM, in monotonic seconds.
  public struct Outlook: Sendable, Hashable {
    /// When its next pass is expected to start: when it is due, or when a place is free for it. Now, of one
    /// that runs.
    public let startsAtSeconds: Double
    /// It is due and another one has its place.
    public let isPlaceMissing: Bool
    /// Attempts since the last commit that failed.
    public let failures: Int
  }

  /// Of every VM. Passes that run are expected to free their places after their
  /// expected time, those that wait get them in the order of their urgency.
  public func outlook(nowSeconds: Double) -> [Key: Outlook] {
    var free = freePlaces(nowSeconds: nowSeconds)
    let waiting = entries.filter { !$0.value.isRunning && !$0.value.isRemoved }
      .map { (key: $0.key, entry: $0.value, from: max(nowSeconds, $0.value.startsAtSeconds)) }
      .sorted { left, right in
        left.from != right.from ? left.from < right.from : left.entry.urgency < right.entry.urgency
      }
    var result = entries.filter { $0.value.isRunning }.mapValues { entry in
      Outlook(startsAtSeconds: nowSeconds, isPlaceMissing: false, failures: entry.failures)
    }
    for (key, entry, from) in waiting {
      let place = free.indices.min { free[$0] < free[$1] } ?? 0
      let start = max(from, free[place])
      free[place] = start + min(entry.terms.expectedSeconds ?? 0, Self.longPassSeconds)
      result[key] = Outlook(
        startsAtSeconds: start, isPlaceMissing: entry.startsAtSeconds <= nowSeconds && start > nowSeconds,
        failures: entry.failures)
    }
    return result
  }

  /// When each place is free.
  private func freePlaces(nowSeconds: Double) -> [Double] {
    let held = entries.values.filter { entry in
      entry.isRunning && nowSeconds - entry.startedAtSeconds < Self.longPassSeconds
    }.map { entry in
      let end = entry.startedAtSeconds + min(entry.terms.expectedSeconds ?? 0, Self.longPassSeconds)
      // One that takes longer than expected ends some time, and gives its place to others before that.
      let most = entry.startedAtSeconds + Self.longPassSeconds
      return end > nowSeconds ? end : min(most, nowSeconds + (nowSeconds - entry.startedAtSeconds) / 2)
    }.sorted()
    // Long ones keep theirs when there are too many of them.
    let spare = min(limit, max(0, 2 * limit - movingCount(nowSeconds: nowSeconds))) - held.count
    return held + [Double](repeating: nowSeconds, count: max(held.isEmpty ? 1 : 0, spare))
  }
}
