/// How many bytes a second went out over the last five seconds. Pure.
struct RateMeter {
  private static let slotsPerSecond: Int64 = 2
  private static let slotNanoseconds: Int64 = 1_000_000_000 / slotsPerSecond
  private static let slotCount: Int64 = 10

  /// Of each half second, with its number.
  private var slots: [(number: Int64, bytes: Int64)] = []
  /// The half second in which something went out after a long pause.
  private var first: Int64 = 0

  mutating func add(_ bytes: Int64, now: Int64) {
    let number = now / Self.slotNanoseconds
    slots.removeAll { $0.number < number - Self.slotCount }
    if slots.isEmpty { first = number }
    if slots.last?.number == number {
      slots[slots.count - 1].bytes += bytes
    } else {
      slots.append((number, bytes))
    }
  }

  /// Over whole half seconds, as far back as five seconds or the end of the last pause.
  func bytesPerSecond(now: Int64) -> Int64 {
    let number = now / Self.slotNanoseconds
    let from = max(number - Self.slotCount, first)
    guard number > from else { return 0 }
    let bytes = slots.reduce(0) { sum, slot in
      (from..<number).contains(slot.number) ? sum + slot.bytes : sum
    }
    // Not by nanoseconds: ten gigabytes times 10^9 are more than 2^63.
    return bytes * Self.slotsPerSecond / (number - from)
  }
}
