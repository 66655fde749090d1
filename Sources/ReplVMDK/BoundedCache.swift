/// Keeps the newest values, at most `capacity` of them: the oldest leaves first, which suits one walk over a
/// disk.
struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private let capacity: Int
  private var values: [Key: Value] = [:]
  private var order: [Key] = []
  private var oldest = 0

  init(capacity: Int) { self.capacity = capacity }

  var count: Int { values.count }

  subscript(key: Key) -> Value? { values[key] }

  mutating func insert(_ value: Value, for key: Key) {
    // Two threads may load the same value at once: the second changes nothing.
    if values.updateValue(value, forKey: key) != nil { return }
    if order.count < capacity {
      order.append(key)
      return
    }
    values[order[oldest]] = nil
    order[oldest] = key
    oldest = (oldest + 1) % capacity
  }
}
