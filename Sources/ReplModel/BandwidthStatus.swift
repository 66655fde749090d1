/// What is sent now, and what may be: of a daemon, or of one VM.
public struct BandwidthStatus: Sendable, Codable, Hashable {
  /// The limit that is in force now; nil when there is none.
  public var limitBytesPerSecond: Int64?
  /// The window of the schedule that says so, such as `mon-fri 08:00-18:00`; nil outside of all.
  public var window: String?
  /// On the wire, TLS included, over the last few seconds.
  public var bytesPerSecond: Int64
  /// On the wire since the daemon started.
  public var sentBytes: Int64

  public init(limitBytesPerSecond: Int64?, window: String?, bytesPerSecond: Int64, sentBytes: Int64) {
    self.limitBytesPerSecond = limitBytesPerSecond
    self.window = window
    self.bytesPerSecond = bytesPerSecond
    self.sentBytes = sentBytes
  }
}
