/// A day of the week, Monday first.
public enum Weekday: Int, Sendable, Hashable, CaseIterable, Comparable, CustomStringConvertible {
  case monday = 0
  case tuesday, wednesday, thursday, friday, saturday, sunday

  private static let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

  /// Reads `mon`.
  public init?(_ text: some StringProtocol) {
    guard let index = Self.names.firstIndex(where: { $0 == text }) else { return nil }
    self.init(rawValue: index)
  }

  /// The day before.
  public var yesterday: Weekday { Self.allCases[(rawValue + 6) % 7] }

  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

  /// `mon`.
  public var description: String { Self.names[rawValue] }

  /// The days of `mon-fri`, `fri-mon` or `sat`; nil for anything else.
  public static func days(_ text: some StringProtocol) -> Set<Weekday>? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count <= 2, let first = Weekday(parts[0]), let last = Weekday(parts[parts.count - 1]) else {
      return nil
    }
    var days: Set<Weekday> = [first]
    var day = first
    while day != last {
      day = allCases[(day.rawValue + 1) % 7]
      days.insert(day)
    }
    return days
  }

  /// `daily`, `mon-fri`, `mon,wed,sat-sun`.
  public static func text(_ days: Set<Weekday>) -> String {
    if days.count == allCases.count { return "daily" }
    var parts: [String] = []
    for day in days.sorted() where day == .monday || !days.contains(day.yesterday) {
      var last = day
      while last != .sunday, let next = Weekday(rawValue: last.rawValue + 1), days.contains(next) {
        last = next
      }
      parts.append(last == day ? "\(day)" : "\(day)-\(last)")
    }
    return parts.joined(separator: ",")
  }
}

/// Day of the week and minute of the day where this machine is.
public struct LocalMoment: Sendable, Hashable {
  public let weekday: Weekday
  /// Since midnight by the clock on the wall, 0...1439.
  public let minute: Int

  public init(weekday: Weekday, minute: Int) { (self.weekday, self.minute) = (weekday, minute) }
}
