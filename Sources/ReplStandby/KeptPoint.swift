import ReplModel

/// A recovery point that the standby keeps, with what is needed to start it.
public struct KeptPoint: Sendable, Hashable, Codable {
  public let point: RecoveryPoint
  /// SHA-256 of the source files as they were at the freeze; the files are kept by it.
  public let vmxHash: Hash256?
  public let nvramHash: Hash256?
  /// What the descriptors of the point's disks keep, in the order of its disks. Empty where it is not known:
  /// then what the disk has now counts.
  public let facts: [DiskFacts]
  /// When all of it was last read and found right; nil when it never was.
  public internal(set) var verifiedAt: WallTime?
  /// Pages that cannot be had any more as they were; empty for a point that is whole.
  public internal(set) var damage: [DiskDamage]

  init(
    point: RecoveryPoint, vmxHash: Hash256?, nvramHash: Hash256?, facts: [DiskFacts],
    verifiedAt: WallTime? = nil, damage: [DiskDamage] = []
  ) {
    self.point = point
    self.vmxHash = vmxHash
    self.nvramHash = nvramHash
    self.facts = facts
    self.verifiedAt = verifiedAt
    self.damage = damage
  }

  public var reference: PointReference { point.reference }
  public var isDamaged: Bool { !damage.isEmpty }

  func hash(of file: SourceFile) -> Hash256? { file == .vmx ? vmxHash : nvramHash }
}

/// Pages of one disk that are lost.
public struct DiskDamage: Sendable, Hashable, Codable {
  public let disk: DiskID
  /// Ascending, at most `Limits.damagedRanges`, none where there is too much damage in all; the rest is only
  /// counted. None, and none counted, where the way back to the point is lost.
  public let pages: [PageRange]
  public let pageCount: Int64
  /// What happened, for people.
  public let detail: String
  /// The pages are wanted: the next pass may bring them as they were. Nil: they are lost.
  public let waitsForRepair: Bool?

  init(disk: DiskID, pages: [PageRange], pageCount: Int64, detail: String, waitsForRepair: Bool? = nil) {
    self.disk = disk
    self.pages = pages
    self.pageCount = pageCount
    self.detail = detail
    self.waitsForRepair = waitsForRepair
  }
}

/// Adjacent pages of one disk.
public struct PageRange: Sendable, Hashable, Codable {
  public let first: Int64
  public let count: Int64

  public init(first: Int64, count: Int64) {
    self.first = first
    self.count = count
  }

  public var pages: Range<Int64> { first..<(first + count) }
}

/// Differences of the standby from its newest point that nothing explains: not to be started without force.
public struct Suspicion: Sendable, Hashable, Codable {
  public let at: WallTime
  public let disk: DiskID?
  /// Pages that differ, as far as they were counted; 0 when the disk could not be read.
  public let pageCount: Int64
  /// What was found and what to do, for people.
  public let detail: String

  init(at: WallTime, disk: DiskID?, pageCount: Int64, detail: String) {
    self.at = at
    self.disk = disk
    self.pageCount = pageCount
    self.detail = detail
  }
}
