import ReplModel

extension ReceiverConfig {
  /// What is special about the standby of one VM.
  public struct VM: Sendable, Hashable {
    /// Its UUID, or the display name that it had when its standby was made.
    public let name: String
    /// The sender whose VM it is; nil: any, of which there is only one where `name` is no UUID.
    public let peer: String?
    /// Paths of the block devices that its disks lie on; the others lie in files.
    public let devices: [DiskSlot: String]
    /// Nil: as all others.
    public let retention: Retention?
  }

  /// What is special about a VM of `peer`: the entry with its UUID before one with its name. `name`: the one
  /// that it had when its standby was made, for a sender can rename it at any time.
  public func special(_ vm: VMID, called name: String, of peer: String) -> VM? {
    let vms = vms.filter { $0.peer == nil || $0.peer == peer }
    return vms.first { VMID($0.name) == vm } ?? vms.first { $0.name == name }
  }
}
