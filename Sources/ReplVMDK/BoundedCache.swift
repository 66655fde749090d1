/// Keeps the newest values whose costs add up to no more than `limit`: the oldest leaves first, which suits
/// one walk over a disk.
struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private let limit: Int
  private var values: [Key: (value: Value, cost: Int)] = [:]
  private var order: [Key] = []
  private var oldest = 0
  private(set) var cost = 0

  /// - Parameter limit: of the sum of all costs.
  init(limit: Int) { self.limit = limit }

  /// For values that cost 1 each.
  init(capacity: Int) { limit = capacity }

  var count: Int { values.count }

  subscript(key: Key) -> Value? { values[key]?.value }

  mutating func insert(_ value: Value, for key: Key, cost: Int = 1) {
    // Two threads may load the same value at once: the second changes nothing.
    if values[key] != nil { return }
    values[key] = (value, cost)
    order.append(key)
    self.cost += cost
    // The newest stays even when it is over the limit by itself: somebody is about to use it.
    while self.cost > limit, oldest < order.count - 1 {
      self.cost -= values.removeValue(forKey: order[oldest])?.cost ?? 0
      oldest += 1
    }
    if oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
  }
}
