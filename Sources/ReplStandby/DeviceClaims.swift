import ReplIO
import ReplModel

/// Which block devices hold which disks, over all stores of a receiver: a device has no place for a
/// mark of its
/// own. Kept in the state directory.
public struct DeviceClaims: Sendable {
  /// One device.
  public struct Claim: Sendable, Hashable, Codable {
    public let device: String
    /// As the configuration calls it: its display name or its UUID.
    public let vm: String
    public let slot: DiskSlot
    /// The disk that is on it; nil while it was only claimed.
    public var disk: DiskID?
    public var owner: VMID?
    /// Punching was seen to make ranges read as zero.
    public var punches: Bool
    public let at: WallTime
  }

  private static let limitBytes = 4 << 20

  let state: any StorageDirectory
  let opener: any DeviceOpening

  public init(state: any StorageDirectory, opener: any DeviceOpening) {
    self.state = state
    self.opener = opener
  }

  private var file: StateFile<[Claim]> {
    StateFile(name: "devices.json", state: state, limitBytes: Self.limitBytes, formatVersion: 1)
  }

  /// Every device that is taken or claimed.
  public func all() throws(StandbyError) -> [Claim] { try file.load() ?? [] }

  /// Enters a claim durably in place of the one of the same device. Throws `.deviceRefused` when another disk
  /// is on it.
  func enter(_ claim: Claim, on device: BlockDevice) throws(StandbyError) {
    try file.update(empty: []) { (claims) throws(StandbyError) in
      let held = try self.claim(of: device, in: claims)
      if let held, let disk = held.disk, disk != claim.disk { throw Self.taken(device.path, by: held) }
      claims.removeAll { $0 == held }
      claims.append(claim)
    }
  }

  /// The device of this disk is free again.
  func release(_ disk: DiskID) throws(StandbyError) {
    try file.update(empty: []) { (claims) throws(StandbyError) in claims.removeAll { $0.disk == disk } }
  }

  /// What is known of a device, under whatever path.
  public func claim(of device: BlockDevice, in claims: [Claim]? = nil) throws(StandbyError) -> Claim? {
    let claims = if let claims { claims } else { try all() }
    // Others are only opened where no claim has this path: one of them may be dead, and opening it hang.
    return claims.first { $0.device == device.path } ?? claims.first { isSame($0, device) }
  }

  static func taken(_ path: String, by claim: Claim) -> StandbyError {
    .deviceRefused(
      path: path,
      detail: "it holds disk \(claim.slot) of \(SafeText.printable(claim.vm)) already (\(claim.device)): "
        + "name another device, or remove that disk first")
  }

  private func isSame(_ claim: Claim, _ device: BlockDevice) -> Bool {
    // A path that leads nowhere now is another device's.
    guard let other = try? opener.open(claim.device, isWritable: false) else { return false }
    return other.number == device.number
  }
}
