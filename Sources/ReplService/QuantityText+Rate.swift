/// Rates: bytes or bits a second.
extension QuantityText {
  /// Bytes a second of `50MB/s`, `50MB`, `100Mbit/s`, `100Mbit`; nil for anything else.
  static func rate(_ text: String) -> Int64? {
    let amount = text.hasSuffix("/s") ? String(text.dropLast(2)) : text
    if let bytes = bytes(amount) { return bytes }
    let units: [(String, Int64)] = [("kbit", 1000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000)]
    return Self.amount(amount, units).map { $0 / 8 }
  }
}

extension AmountText {
  /// `50 MB/s`, `1.2 MB/s`, `640 kB/s`: powers of 1000, as links are measured.
  public static func rate(bytesPerSecond: Int64) -> String {
    let units = ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]
    var value = Double(max(0, bytesPerSecond))
    var unit = 0
    while value >= 1000, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    let tenths = Int((value * 10).rounded())
    return unit == 0 || tenths >= 1000 || tenths % 10 == 0
      ? "\(Int(value.rounded())) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
