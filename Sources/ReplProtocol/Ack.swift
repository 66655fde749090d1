import ReplModel

/// Everything up to a frame is durable at the target.
public struct Ack: ControlMessage, Hashable {
  public static let type = MessageType.ack

  /// The sequence of the source's frame up to which all batches and files are durable.
  public var sequence: UInt64

  /// How long the target has worked since the first batch, rather than waited for what comes, milliseconds.
  /// Says who is slow, and nothing depends on it; nil from a target that does not measure.
  public var busyMilliseconds: Int64?

  public init(sequence: UInt64, busyMilliseconds: Int64? = nil) {
    self.sequence = sequence
    self.busyMilliseconds = busyMilliseconds
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try requireBusy(busyMilliseconds)
  }

  /// Throws when this acknowledges a frame that was not sent, or less than an ack before it.
  /// - Parameters:
  ///   - previous: the ack before, nil for the first.
  ///   - sent: frames that the source has sent on this connection.
  public func validate(after previous: UInt64?, sent: UInt64) throws(ProtocolError) {
    try require(sequence < sent, "sequence", "\(sequence)", expected: "that of a frame sent, below \(sent)")
    try require(
      sequence >= previous ?? 0, "sequence", "\(sequence)",
      expected: "at least \(previous ?? 0), acknowledged before")
  }
}

/// Pages that arrived damaged and are wanted again before a commit.
public struct Resend: ControlMessage, Hashable {
  public static let type = MessageType.resend

  /// Adjacent pages.
  public struct Pages: Codable, Hashable, Sendable {
    /// Page number, from 0.
    public var first: Int64
    /// Pages, 1 or more.
    public var count: Int64
    public init(first: Int64, count: Int64) {
      self.first = first
      self.count = count
    }
  }

  /// Disk index.
  public var disk: Int
  /// Ascending, without overlap.
  public var pages: [Pages]

  public init(disk: Int, pages: [Pages]) {
    self.disk = disk
    self.pages = pages
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try requireDisk(disk, in: limits.disks)
    try require(
      (1...limits.resendRanges).contains(pages.count), "pages", "\(pages.count) ranges",
      expected: "1 to \(limits.resendRanges)")
    var position: Int64 = 0
    for (index, range) in pages.enumerated() {
      let (end, overflow) = range.first.addingReportingOverflow(range.count)
      try require(
        range.first >= position && range.count >= 1 && !overflow, "pages.\(index)",
        "\(range.first), \(range.count)", expected: "at least one page, at \(position) or later")
      position = end
    }
  }

  /// Throws unless all pages lie inside the disk. Call after `validate(_:)`, which decoding does.
  public func validate(disks: [PageGrid]) throws(ProtocolError) {
    try requireDisk(disk, in: disks.count)
    let limit = disks[disk].pageCount
    for (index, range) in pages.enumerated() {
      try require(
        range.first >= 0 && range.count >= 1 && range.first <= limit && range.count <= limit - range.first,
        "pages.\(index)", "\(range.first), \(range.count)", expected: "pages below \(limit)")
    }
  }
}

extension ControlMessage {
  /// Time that a target says it has worked.
  func requireBusy(_ milliseconds: Int64?) throws(ProtocolError) {
    try require(
      (milliseconds ?? 0) >= 0, "busyMilliseconds", "\(milliseconds ?? 0)", expected: "0 or more")
  }
}
