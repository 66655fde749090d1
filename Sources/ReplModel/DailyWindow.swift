/// A part of every day in local time, which may go over midnight: `22:00-05:00`.
public struct DailyWindow: Hashable, Sendable, CustomStringConvertible {
  /// Minutes since midnight, 0...1439; the end itself is outside. Equal ones mean the whole day.
  public let startMinute: Int
  public let endMinute: Int

  /// Nil for a minute that no day has.
  public init?(startMinute: Int, endMinute: Int) {
    guard (0..<1440).contains(startMinute), (0..<1440).contains(endMinute) else { return nil }
    (self.startMinute, self.endMinute) = (startMinute, endMinute)
  }

  /// Reads `22:00-05:00`.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let start = Self.minute(parts[0]), let end = Self.minute(parts[1]) else {
      return nil
    }
    self.init(startMinute: start, endMinute: end)
  }

  /// Whether a minute since midnight lies inside.
  public func contains(minute: Int) -> Bool {
    if startMinute == endMinute { return true }
    if startMinute < endMinute { return (startMinute..<endMinute).contains(minute) }
    return minute >= startMinute || minute < endMinute
  }

  /// Whether a minute inside belongs to a window that began the day before.
  public func beganYesterday(minute: Int) -> Bool { startMinute >= endMinute && minute < endMinute }

  public var description: String { "\(Self.text(startMinute))-\(Self.text(endMinute))" }

  private static func text(_ minute: Int) -> String {
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(two(minute / 60)):\(two(minute % 60))"
  }

  private static func minute(_ text: some StringProtocol) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2,
      parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (48...57).contains($0) } }),
      let hour = Int(parts[0]), let minute = Int(parts[1]), hour < 24, minute < 60
    else { return nil }
    return hour * 60 + minute
  }
}
