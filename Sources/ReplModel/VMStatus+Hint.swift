extension VMStatus {
  /// What change hints spared the last pass, and what speaks against them.
  public struct Hint: Sendable, Codable, Hashable {
    /// One disk.
    public struct Disk: Sendable, Codable, Hashable {
      public var slot: DiskSlot
      /// Why all of it was read; nil where the hint was used.
      public var refusal: String?
      /// Bytes that may have changed, as the hint said; nil without one.
      public var changedBytes: Int64?
      /// Bytes that were read only to check the hint.
      public var auditedBytes: Int64
      /// Where the hint was found wrong in that pass, bytes; nil where it was not.
      public var contradictionOffset: Int64?
      /// Why holes of the disk were read as well; nil where they were left out.
      public var holeRefusal: String?
      /// Where a hole was found to hold something in that pass, bytes; nil where none was.
      public var holeOffset: Int64?

      public init(
        slot: DiskSlot, refusal: String?, changedBytes: Int64?, auditedBytes: Int64,
        contradictionOffset: Int64? = nil, holeRefusal: String? = nil, holeOffset: Int64? = nil
      ) {
        self.slot = slot
        self.refusal = refusal
        self.changedBytes = changedBytes
        self.auditedBytes = auditedBytes
        self.contradictionOffset = contradictionOffset
        self.holeRefusal = holeRefusal
        self.holeOffset = holeOffset
      }
    }

    /// `reflink`, `chain` or `command`; `none` where only the holes of disks are told of.
    public var source: String
    public var disks: [Disk]
    /// How often a hint, or what the storage says of holes, was found wrong since the beginning.
    public var contradictions: UInt64
    /// Since when clones are kept for the next pass; nil where none are.
    public var keptSince: WallTime?
    /// The space that the kept clones take at most, when everything was written over meanwhile.
    public var keptBytes: Int64?

    public init(
      source: String, disks: [Disk], contradictions: UInt64, keptSince: WallTime?, keptBytes: Int64?
    ) {
      self.source = source
      self.disks = disks
      self.contradictions = contradictions
      self.keptSince = keptSince
      self.keptBytes = keptBytes
    }
  }
}
