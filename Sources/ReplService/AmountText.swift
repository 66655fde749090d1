/// Amounts for people: three figures, a unit.
public enum AmountText {
  /// `4 KiB`, `1.5 GiB`.
  public static func size(bytes: Int64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var value = Double(max(0, bytes))
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    let tenths = Int((value * 10).rounded())
    // Above 100 a tenth says nothing; bytes have no parts.
    return unit == 0 || tenths >= 1000 || tenths % 10 == 0
      ? "\(Int(value.rounded())) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }

  /// `0.4 s`, `59 s`, `12m 5s`, `3h`, `2d 4h`.
  public static func duration(seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0 else { return "0 s" }
    if seconds < 10 {
      let tenths = Int((seconds * 10).rounded())
      return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
    }
    // A hundred years is enough for every real value and keeps the conversion safe.
    let whole = Int(min(seconds, 3.2e9).rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return pair(whole, 60, "m", 1, "s") }
    if whole < 86_400 { return pair(whole, 3600, "h", 60, "m") }
    return pair(whole, 86_400, "d", 3600, "h")
  }

  /// Two units, or one when nothing is left for the second.
  private static func pair(
    _ seconds: Int, _ large: Int, _ name: String, _ small: Int, _ smallName: String
  ) -> String {
    let rest = seconds % large / small
    return rest == 0 ? "\(seconds / large)\(name)" : "\(seconds / large)\(name) \(rest)\(smallName)"
  }
}

extension AmountText {
  /// Bytes of a size as people write it (`100MiB`, `1GB`); nil for anything else.
  public static func bytes(_ text: String) -> Int64? { QuantityText.bytes(text) }
}
