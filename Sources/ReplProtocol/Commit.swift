import ReplModel

/// The source has sent everything: the target may make the pass a recovery point if it sees the same.
public struct Commit: ControlMessage, Hashable {
  public static let type = MessageType.commit

  /// One disk of the offer.
  public struct Disk: Codable, Hashable, Sendable {
    /// As in the offer.
    public var disk: DiskID
    /// The root of the map after this pass.
    public var root: Root
    /// Pages in data runs and in zero runs of this connection's batches; those sent again count again.
    public var dataPages: Int64
    public var zeroPages: Int64

    public init(disk: DiskID, root: Root, dataPages: Int64, zeroPages: Int64) {
      self.disk = disk
      self.root = root
      self.dataPages = dataPages
      self.zeroPages = zeroPages
    }
  }

  /// The offer's disks in its order.
  public var disks: [Disk]
  /// Batch frames sent on this connection.
  public var batches: Int64
  /// `resend` messages that were answered before this message.
  public var resendsAnswered: Int64

  public init(disks: [Disk], batches: Int64, resendsAnswered: Int64) {
    self.disks = disks
    self.batches = batches
    self.resendsAnswered = resendsAnswered
  }

  /// Far more pages than any pass can send, far below what a sum over all disks could overflow with.
  public static let largestCount: Int64 = 1 << 48

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try require(
      (1...limits.disks).contains(disks.count), "disks", "\(disks.count)", expected: "1 to \(limits.disks)")
    var counts = [("batches", batches), ("resendsAnswered", resendsAnswered)]
    for (index, disk) in disks.enumerated() {
      counts.append(("disks.\(index).dataPages", disk.dataPages))
      counts.append(("disks.\(index).zeroPages", disk.zeroPages))
    }
    for (field, count) in counts {
      try require(
        (0...Self.largestCount).contains(count), field, "\(count)", expected: "0 to \(Self.largestCount)")
    }
  }

  /// Throws unless this has the disks of the offer in its order.
  public func validate(answering offer: Offer) throws(ProtocolError) {
    try require(
      disks.map(\.disk) == offer.disks.map(\.disk), "disks", "another list",
      expected: "the disks of the offer in its order")
  }

  /// True when this crossed a `resend` on the way: the target ignores it and calls
  /// `SessionState.ignoreVoidCommit()`.
  public func isVoid(resendsSent: Int64) -> Bool { resendsAnswered < resendsSent }
}

/// The commit record is durable: this is the new recovery point.
public struct Committed: ControlMessage, Hashable {
  public static let type = MessageType.committed

  /// The new newest point.
  public var point: RecoveryPoint
  /// As in an ack, until the point existed.
  public var busyMilliseconds: Int64?

  public init(point: RecoveryPoint, busyMilliseconds: Int64? = nil) {
    self.point = point
    self.busyMilliseconds = busyMilliseconds
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try require(point.reference.number >= 1, "point.reference.number", "0", expected: "1 or more")
    try require(
      (1...limits.disks).contains(point.disks.count), "point.disks", "\(point.disks.count)",
      expected: "1 to \(limits.disks)")
    try require(
      Set(point.disks.map(\.disk)).count == point.disks.count, "point.disks", "a disk twice",
      expected: "each disk once")
    try requireBusy(busyMilliseconds)
  }

  /// Throws unless the point is the one that was offered and committed: a sender must not take another for
  /// its base.
  ///
  /// A disk that is still being seeded may be missing from the point.
  public func validate(answering offer: Offer, _ commit: Commit) throws(ProtocolError) {
    try require(point.vm == offer.vm, "point.vm", "\(point.vm)", expected: "\(offer.vm)")
    try require(point.pass == offer.pass, "point.pass", "\(point.pass)", expected: "\(offer.pass)")
    try require(
      point.frozenAt == offer.frozenAt, "point.frozenAt", "\(point.frozenAt)", expected: "\(offer.frozenAt)")
    for disk in point.disks { try validate(disk, offer, commit) }
  }

  /// Throws unless the point is of the receiver that accepted, and newer than the newest that it had.
  public func validate(after accept: Accept) throws(ProtocolError) {
    try require(
      point.receiver == accept.receiver, "point.receiver", "\(point.receiver)",
      expected: "\(accept.receiver)")
    guard let newest = accept.newest?.reference else { return }
    try require(
      point.reference > newest, "point.reference", "\(point.reference)", expected: "newer than \(newest)")
  }

  private func validate(_ disk: DiskPoint, _ offer: Offer, _ commit: Commit) throws(ProtocolError) {
    let offered = offer.disks.first { $0.disk == disk.disk }
    let sent = commit.disks.first { $0.disk == disk.disk }
    try require(
      offered != nil && sent != nil, "point.disks", "\(disk.disk)", expected: "only disks of the offer")
    try require(
      disk.root == sent?.root && disk.grid == offered?.grid && disk.keyID == offered?.keyID,
      "point.disks \(disk.slot)", "another root, grid or key", expected: "those of offer and commit")
  }
}

/// The standby disk itself is at the point.
public struct Settled: ControlMessage, Hashable {
  public static let type = MessageType.settled

  /// The point that the disks are at.
  public var reference: PointReference

  public init(reference: PointReference) { self.reference = reference }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try require(reference.number >= 1, "reference.number", "0", expected: "1 or more")
  }
}
