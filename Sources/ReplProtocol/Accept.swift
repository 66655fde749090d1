import ReplModel

/// The target's answer to an offer: what it holds, and what it may take.
public struct Accept: ControlMessage, Hashable {
  public static let type = MessageType.accept

  /// How a disk comes to the new point.
  public enum Mode: String, Codable, Sendable, CaseIterable {
    /// No committed point holds this disk: what arrives is written directly.
    case seed
    /// Changes go to the journal, on top of the newest point.
    case incremental
  }

  /// The newest committed point.
  public struct Newest: Codable, Hashable, Sendable {
    /// Epoch and number.
    public var reference: PointReference
    /// The pass that brought it.
    public var pass: PassID
    /// When its view was frozen, by the source's clock.
    public var frozenAt: WallTime
    /// The disks that it holds; always there from a target with the feature `seed`.
    public var disks: [DiskID]?

    public init(reference: PointReference, pass: PassID, frozenAt: WallTime, disks: [DiskID]? = nil) {
      self.reference = reference
      self.pass = pass
      self.frozenAt = frozenAt
      self.disks = disks
    }

    /// Whether the point holds a disk of the offer; all of them where the target does not say.
    public func holds(_ disk: DiskID) -> Bool { disks?.contains(disk) ?? true }

    /// To be called when this is the point of the offered pass itself, whose answer was lost. Throws unless
    /// it has, as in `Committed`, the time at which the offer's view was frozen, which tells the lag, and at
    /// least one of its disks.
    public func validate(committing offer: Offer) throws(ProtocolError) {
      guard frozenAt == offer.frozenAt else {
        throw .value(
          .accept, field: "newest.frozenAt", found: "\(frozenAt)",
          expected: "\(offer.frozenAt), when the view of this pass was frozen")
      }
      guard offer.disks.contains(where: { holds($0.disk) }) else {
        throw .value(
          .accept, field: "newest.disks", found: "none of the disks of this pass", expected: "at least one")
      }
    }
  }

  /// One disk of the offer.
  public struct Disk: Codable, Hashable, Sendable {
    /// As in the offer.
    public var disk: DiskID
    public var mode: Mode
    /// The root of what the target has: base plus what it acknowledged of earlier tries.
    public var effectiveRoot: Root

    public init(disk: DiskID, mode: Mode, effectiveRoot: Root) {
      self.disk = disk
      self.mode = mode
      self.effectiveRoot = effectiveRoot
    }
  }

  /// This installation; a source keeps state per receiver.
  public var receiver: ReceiverID
  /// Whether there is a `newest`. For people who read along.
  public var standbyKnown: Bool
  /// Nil before the first point.
  public var newest: Newest?
  /// The standby's epoch.
  public var epoch: Epoch
  /// The offer's disks in its order.
  public var disks: [Disk]
  /// Files whose offered hash the target does not hold.
  public var filesWanted: [FileKind]
  /// Bytes of journal that this pass may fill. For people who read along: the target itself refuses more.
  public var journalBudgetBytes: Int64
  /// Payload bytes of batches and files that may be unacknowledged at a time.
  public var windowBytes: Int64
  /// Somebody at the target has asked for a proof after this pass. Feature `proof`; absent means no.
  public var wantsProof: Bool?

  public init(
    receiver: ReceiverID, standbyKnown: Bool, newest: Newest?, epoch: Epoch, disks: [Disk],
    filesWanted: [FileKind], journalBudgetBytes: Int64, windowBytes: Int64
  ) {
    self.receiver = receiver
    self.standbyKnown = standbyKnown
    self.newest = newest
    self.epoch = epoch
    self.disks = disks
    self.filesWanted = filesWanted
    self.journalBudgetBytes = journalBudgetBytes
    self.windowBytes = windowBytes
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try require(
      (1...limits.disks).contains(disks.count), "disks", "\(disks.count)", expected: "1 to \(limits.disks)")
    try require(
      Set(disks.map(\.disk)).count == disks.count, "disks", "a disk twice", expected: "each disk once")
    try require(
      Set(filesWanted).count == filesWanted.count, "filesWanted", "a file twice", expected: "each once")
    if let newest {
      try require(newest.reference.number >= 1, "newest.reference.number", "0", expected: "1 or more")
      try require(
        newest.disks?.count ?? 0 <= limits.disks, "newest.disks", "\(newest.disks?.count ?? 0)",
        expected: "at most \(limits.disks)")
    }
    try require(
      journalBudgetBytes >= 0, "journalBudgetBytes", "\(journalBudgetBytes)", expected: "0 or more")
    try require(
      limits.windowBytes.contains(windowBytes), "windowBytes", "\(windowBytes)",
      expected: "\(limits.windowBytes.lowerBound) to \(limits.windowBytes.upperBound)")
  }

  /// Throws unless this answers `offer`: the same disks in the same order, only files that were offered; to a
  /// seed nothing but first copies.
  public func validate(answering offer: Offer) throws(ProtocolError) {
    try require(
      disks.map(\.disk) == offer.disks.map(\.disk), "disks", "another list",
      expected: "the disks of the offer in its order")
    try require(
      offer.nvramHash != nil || !filesWanted.contains(.nvram), "filesWanted", "nvram",
      expected: "only files that the offer names")
    guard offer.purpose == .seed else { return }
    try require(
      disks.allSatisfy { $0.mode == .seed }, "disks", "incremental", expected: "first copies only: a seed")
    try require(filesWanted.isEmpty, "filesWanted", "a file", expected: "none: a seed")
  }

  /// True when the target committed the offered pass before: its answer was lost.
  public func isCommitted(_ offer: Offer) -> Bool { newest?.pass == offer.pass }
}
