import ReplModel

extension ReceiverConfig {
  /// How standbys are read again by themselves.
  public struct Verify: Sendable, Hashable {
    /// Of every standby, each night; above 0, at most 1.
    public let share: Double
    public let window: DailyWindow
    /// For all standbys together.
    public let bytesPerSecond: Int64

    /// Every page once in twenty nights.
    public static let standard = Verify(
      share: 0.05, window: DailyWindow(startMinute: 22 * 60, endMinute: 5 * 60)!, bytesPerSecond: 100 << 20)
  }
}
