/// Bytes that may go out, filling up at a rate. Pure bookkeeping on the monotonic clock.
///
/// What is sent may exceed what is there: the debt is waited for before the next, so that the rate holds over
/// time whatever the size of the pieces.
struct TokenBucket {
  /// What a bucket holds at most, in seconds of its rate: a thread that wakes late loses nothing, and after a
  /// pause no more than this goes out at once.
  static let burstSeconds = 0.1

  /// Bytes a second; nil for no limit.
  private(set) var rate: Int64?
  private var bytes = 0.0
  private var filledAt: Int64 = 0

  /// A new rate begins with what the old one owes, and with nothing saved up.
  mutating func set(rate new: Int64?, now: Int64) {
    guard new != rate else { return }
    fill(now: now)
    rate = new
    bytes = min(bytes, 0)
  }

  mutating func fill(now: Int64) {
    defer { filledAt = now }
    guard let rate else { return }
    let earned = Double(max(0, now - filledAt)) / 1e9 * Double(rate)
    bytes = min(bytes + earned, Double(rate) * Self.burstSeconds)
  }

  var isOpen: Bool { rate == nil || bytes > 0 }

  /// What is there to be sent.
  var available: Int { rate == nil ? .max : Int(bytes) }

  mutating func take(_ count: Int64) { if rate != nil { bytes -= Double(count) } }

  /// Seconds until it is open again, 0 when it is.
  var secondsUntilOpen: Double {
    guard let rate, bytes <= 0 else { return 0 }
    return (1 - bytes) / Double(rate)
  }
}
