import ReplModel

extension ReceiverConfig {
  /// What is special about the standby of one VM.
  public struct VM: Sendable, Hashable {
    /// Its display name, or its UUID.
    public let name: String
    /// Paths of the block devices that its disks lie on; the others lie in files.
    public let devices: [DiskSlot: String]
    /// Nil: as all others.
    public let retention: Retention?
  }
}
