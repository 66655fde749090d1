/// A number with a unit, as people write it in a configuration.
enum QuantityText {
  /// Seconds of `90s`, `10m`, `2h`, `1d`; nil for anything else.
  static func seconds(_ text: String) -> Double? {
    let units: [(String, Int64)] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
    return amount(text, units).map { Double($0) }
  }

  /// Bytes of `64KiB`, `1GiB`, `500MB`, `0B`; nil for anything else. Powers of 1024 carry an `i`.
  static func bytes(_ text: String) -> Int64? {
    let units: [(String, Int64)] = [
      ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1000),
      ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
    ]
    return amount(text, units)
  }

  /// Digits, at most one space, a unit; nil when it is anything else or more than Int64 holds.
  static func amount(_ text: String, _ units: [(String, Int64)]) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    var rest = text.dropFirst(digits.count)
    if rest.first == " " { rest = rest.dropFirst() }
    guard let number = Int64(digits), let unit = units.first(where: { $0.0 == rest }) else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit.1)
    return overflow ? nil : product
  }

  /// Seconds in the largest unit that leaves no rest: `10m`.
  static func text(seconds: Double) -> String {
    let whole = Int64(seconds)
    for (unit, size) in [("d", Int64(86_400)), ("h", 3600), ("m", 60)]
    where whole >= size && whole % size == 0 {
      return "\(whole / size)\(unit)"
    }
    return "\(whole)s"
  }

  /// Bytes in the largest unit that leaves no rest: `1GiB`.
  static func text(bytes: Int64) -> String {
    let units: [(String, Int64)] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    for (unit, size) in units where bytes >= size && bytes % size == 0 { return "\(bytes / size)\(unit)" }
    return "\(bytes)B"
  }
}
