/// How many bytes a second may be sent, and when. Nil stands for no limit.
///
/// Windows are parts of the week by local time: an hour that the clock leaves out in spring is in no window,
/// and one that comes twice in autumn is in its window twice.
public struct BandwidthPlan: Sendable, Hashable {
  /// A part of some days with a limit of its own, in place of the plan's.
  public struct Window: Sendable, Hashable, CustomStringConvertible {
    /// On which days it begins; over midnight it goes on into the next.
    public let days: Set<Weekday>
    public let time: DailyWindow
    public let bytesPerSecond: Int64?

    public init(days: Set<Weekday>, time: DailyWindow, bytesPerSecond: Int64?) {
      (self.days, self.time, self.bytesPerSecond) = (days, time, bytesPerSecond)
    }

    /// Whether the moment lies inside.
    public func contains(_ moment: LocalMoment) -> Bool {
      guard time.contains(minute: moment.minute) else { return false }
      let began =
        time.beganYesterday(minute: moment.minute) ? moment.weekday.yesterday : moment.weekday
      return days.contains(began)
    }

    /// `mon-fri 08:00-18:00`.
    public var description: String { "\(Weekday.text(days)) \(time)" }
  }

  /// What holds at one moment.
  public struct Rule: Sendable, Hashable {
    public let bytesPerSecond: Int64?
    /// The window that says so; nil outside of all.
    public let window: Window?
  }

  /// Outside of all windows.
  public let bytesPerSecond: Int64?
  public let windows: [Window]

  public init(bytesPerSecond: Int64? = nil, windows: [Window] = []) {
    (self.bytesPerSecond, self.windows) = (bytesPerSecond, windows)
  }

  /// No limit at any time.
  public static let unlimited = BandwidthPlan()

  /// Where windows overlap the lowest limit holds, and of equal ones the first window.
  public func rule(at moment: LocalMoment) -> Rule {
    let inside = windows.filter { $0.contains(moment) }
    guard
      let lowest = inside.min(by: { ($0.bytesPerSecond ?? .max) < ($1.bytesPerSecond ?? .max) })
    else { return Rule(bytesPerSecond: bytesPerSecond, window: nil) }
    return Rule(bytesPerSecond: lowest.bytesPerSecond, window: lowest)
  }
}
