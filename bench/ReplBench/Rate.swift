import ReplIO

/// How fast something is, by doing it again and again.
enum Rate {
  /// Long enough to even out what else the machine does, short enough for many rounds.
  static let seconds = 0.5

  /// GB/s of `turn`, which works on so many bytes; the first turn warms up and does not count.
  static func measure(bytes: Int, _ turn: () throws -> Void) rethrows -> Double {
    try turn()
    let start = SystemTime().monotonicNanoseconds()
    var turns = 0
    var elapsed: Int64 = 0
    while Double(elapsed) < seconds * 1e9 {
      try turn()
      turns += 1
      elapsed = SystemTime().monotonicNanoseconds() - start
    }
    return Double(bytes * turns) / Double(elapsed)
  }

  /// As `measure`, for turns that need preparations which do not count: `turn` answers nanoseconds.
  static func measureParts(bytes: Int, _ turn: () throws -> Int64) rethrows -> Double {
    _ = try turn()
    var turns = 0
    var elapsed: Int64 = 0
    while Double(elapsed) < seconds * 1e9 {
      elapsed += try turn()
      turns += 1
    }
    return Double(bytes * turns) / Double(elapsed)
  }
}
