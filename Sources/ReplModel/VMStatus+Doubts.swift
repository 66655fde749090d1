extension VMStatus {
  /// Why the standby is not what replication wrote, or may not be.
  public struct Doubt: Sendable, Codable, Hashable {
    public var since: WallTime
    /// Pages that differ, as far as they were counted.
    public var pageCount: Int64?
    /// What was found and what to do, for people.
    public var detail: String

    public init(since: WallTime, pageCount: Int64? = nil, detail: String) {
      self.since = since
      self.pageCount = pageCount
      self.detail = detail
    }
  }

  /// When the standby disks were last read again and compared.
  public struct Verification: Sendable, Codable, Hashable {
    /// The last part of any disk.
    public var lastAt: WallTime
    /// When the last round over all of every disk was complete; nil before the first.
    public var completeAt: WallTime?
    /// Of the round that is under way: bytes of disk that are done, and all of them.
    public var doneBytes: Int64
    public var totalBytes: Int64

    public init(lastAt: WallTime, completeAt: WallTime?, doneBytes: Int64, totalBytes: Int64) {
      self.lastAt = lastAt
      self.completeAt = completeAt
      self.doneBytes = doneBytes
      self.totalBytes = totalBytes
    }
  }
}
