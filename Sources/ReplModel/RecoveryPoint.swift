/// A number that only the receiver raises, at failover or failback. Offers with an older epoch are refused.
public struct Epoch: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
  public let value: UInt64
  public init(_ value: UInt64) { self.value = value }
  public init(from decoder: any Decoder) throws {
    value = try decoder.singleValueContainer().decode(UInt64.self)
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
  public var description: String { "\(value)" }
}

/// Names one recovery point of one VM at one receiver: points are ordered by epoch, then number.
public struct PointReference: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
  public let epoch: Epoch
  /// 1 for the first committed point; grows by one a commit.
  public let number: UInt64

  public init(epoch: Epoch, number: UInt64) {
    self.epoch = epoch
    self.number = number
  }

  /// As `description` writes it, `1.7`; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let epoch = UInt64(parts[0]), let number = UInt64(parts[1]) else { return nil }
    self.init(epoch: Epoch(epoch), number: number)
    if description != text { return nil }
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.epoch.value, left.number) < (right.epoch.value, right.number)
  }
  public var description: String { "\(epoch.value).\(number)" }
}

/// What kind of consistency a recovery point has.
public enum PointLabel: String, Hashable, Sendable, Codable, CaseIterable {
  case crashConsistent = "crash-consistent"
  case quiesced
  case fuzzy
}

/// One disk of a recovery point.
public struct DiskPoint: Hashable, Sendable, Codable {
  public let disk: DiskID
  public let slot: DiskSlot
  public let grid: PageGrid
  public let keyID: KeyID
  public let root: Root

  public init(disk: DiskID, slot: DiskSlot, grid: PageGrid, keyID: KeyID, root: Root) {
    self.disk = disk
    self.slot = slot
    self.grid = grid
    self.keyID = keyID
    self.root = root
  }
}

/// A committed state of all disks of a VM.
public struct RecoveryPoint: Hashable, Sendable, Codable {
  public let receiver: ReceiverID
  public let vm: VMID
  public let reference: PointReference
  /// The pass that brought it: by this a sender that lost the answer recognises its own commit.
  public let pass: PassID
  /// When the view was frozen, by the sender's clock.
  public let frozenAt: WallTime
  /// When the commit record became durable, by the receiver's clock.
  public let committedAt: WallTime
  public let label: PointLabel
  public let disks: [DiskPoint]

  public init(
    receiver: ReceiverID, vm: VMID, reference: PointReference, pass: PassID, frozenAt: WallTime,
    committedAt: WallTime, label: PointLabel, disks: [DiskPoint]
  ) {
    self.receiver = receiver
    self.vm = vm
    self.reference = reference
    self.pass = pass
    self.frozenAt = frozenAt
    self.committedAt = committedAt
    self.label = label
    self.disks = disks
  }
}
