import ReplIO
import ReplModel

/// What is known of one standby: whose it is, its disks, its recovery points, its epoch and fence.
public struct Catalog: Sendable, Hashable, Codable {
  /// Replication never writes a standby with a fence.
  public struct Fence: Sendable, Hashable, Codable {
    public let epoch: Epoch
    public let at: WallTime
    public let reason: String
    /// The point that was promoted.
    public let point: PointReference?
  }

  /// Somebody else wrote a disk; replication stops until a person has acted.
  public struct Divergence: Sendable, Hashable, Codable {
    public let at: WallTime
    public let disk: DiskID
    public let page: Int64?
    public let detail: String
  }

  public let standby: StandbyID
  public let slug: String
  public let vm: VMID
  public internal(set) var displayName: String
  /// The display name when the standby was made. Nil only before the first change of a catalog that an
  /// earlier version has written.
  private(set) var firstName: String?
  public let owner: String
  public let receiver: ReceiverID
  public let createdAt: WallTime
  public internal(set) var epoch: Epoch
  public internal(set) var fence: Fence?
  public internal(set) var divergence: Divergence?
  public internal(set) var suspicion: Suspicion?
  public internal(set) var disks: [CatalogDisk]
  /// Newest last.
  public internal(set) var kept: [KeptPoint]
  /// The point that the disks hold; nil means the newest. Another one only after a failover to it.
  public internal(set) var held: PointReference?
  /// Nil unless the copy was begun anew.
  public internal(set) var ended: Ended?

  /// Newest last.
  public var points: [RecoveryPoint] { kept.map(\.point) }
  public var newest: RecoveryPoint? { kept.last?.point }
  /// `<slug>-<id>`, fixed at creation.
  public var directoryName: String { StandbyLayout.directory(slug: slug, standby: standby) }

  /// The name by which configuration and claims mean this VM: the one it had when its standby was made. Its
  /// sender can rename it at any time, and must not get other settings by that.
  public var configuredName: String { firstName ?? displayName }

  /// From now on no new display name is taken for the first.
  mutating func keepName() { firstName = configuredName }

  /// The entry of a disk; nil when the standby has no such disk.
  public func disk(_ id: DiskID) -> CatalogDisk? { disks.first { $0.disk == id } }

  /// The kept point of this name; nil when there is none.
  public func kept(_ reference: PointReference) -> KeptPoint? { kept.first { $0.reference == reference } }

  /// The reference that the next committed point gets.
  var nextReference: PointReference {
    let last = newest?.reference.number ?? ended?.reference.number ?? 0
    return PointReference(epoch: epoch, number: last + 1)
  }
}

/// One disk of a standby.
public struct CatalogDisk: Sendable, Hashable, Codable {
  /// How far the disk is.
  public enum State: String, Sendable, Hashable, Codable {
    /// The first copy is under way; the disk belongs to no recovery point.
    case seeding
    case ready
    /// The newest point was made without it; its files stay.
    case detached
  }

  public let disk: DiskID
  public internal(set) var slot: DiskSlot
  /// Part of its file names, fixed at creation: `scsi0-0`.
  public let fileStem: String
  public internal(set) var grid: PageGrid
  public internal(set) var keyID: KeyID
  public internal(set) var facts: DiskFacts
  public internal(set) var state: State
  /// A sync failed while it was seeding: what is in it must be written again before it is trusted.
  public internal(set) var isSuspect: Bool
  /// The data file as the last settling left it; nil where the storage cannot tell, and before the first
  /// point.
  public internal(set) var generation: FileGeneration?
  /// Path of the block device that holds the disk; nil when a file does.
  public internal(set) var device: String?

  /// For callers that test their `StandbyFilesMaking`; the catalog's own come from offers.
  public init(
    disk: DiskID, slot: DiskSlot, fileStem: String, grid: PageGrid, keyID: KeyID, facts: DiskFacts,
    state: State, isSuspect: Bool = false, generation: FileGeneration? = nil, device: String? = nil
  ) {
    self.disk = disk
    self.slot = slot
    self.fileStem = fileStem
    self.grid = grid
    self.keyID = keyID
    self.facts = facts
    self.state = state
    self.isSuspect = isSuspect
    self.generation = generation
    self.device = device
  }

  /// Name of the data file, beside the descriptor.
  public var flatFileName: String { StandbyLayout.flatFile(stem: fileStem) }
  /// Name of the descriptor.
  public var descriptorFileName: String { "\(fileStem).vmdk" }
}

extension Catalog {
  /// What must hold in every catalog; nil when it does. Checked after reading and before writing.
  var contradiction: String? {
    if StandbyLayout.slug(of: slug) != slug { return "the slug \(SafeText.printable(slug)) is not allowed" }
    if disks.count > Limits.disksPerVM { return "\(disks.count) disks" }
    if Set(disks.map(\.disk)).count != disks.count { return "a disk is there twice" }
    if Set(disks.map(\.fileStem)).count != disks.count { return "two disks have the same file name" }
    for disk in disks where StandbyLayout.slug(of: disk.fileStem) != disk.fileStem {
      return "the file name \(SafeText.printable(disk.fileStem)) is not allowed"
    }
    for (older, newer) in zip(points, points.dropFirst()) where !(older.reference < newer.reference) {
      return "points \(older.reference) and \(newer.reference) are out of order"
    }
    if points.contains(where: { $0.vm != vm }) { return "a point belongs to another VM" }
    if kept.contains(where: { !$0.facts.isEmpty && $0.facts.count != $0.point.disks.count }) {
      return "a point has not one set of facts a disk"
    }
    if let held, kept(held) == nil { return "the disks hold point \(held), which is not kept" }
    if let fence, fence.epoch > epoch { return "the fence is newer than the epoch" }
    return nil
  }
}
