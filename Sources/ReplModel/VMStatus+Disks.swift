extension VMStatus {
  /// One disk of the VM, as far as it concerns replication.
  public struct Disk: Sendable, Codable, Hashable {
    /// What becomes of the disk.
    public enum State: String, Sendable, Codable, CaseIterable {
      /// Part of the recovery points.
      case ready
      /// Added to the VM: its first copy is on its way, and the points do not hold it yet.
      case seeding
      /// Left out by the configuration.
      case excluded
      /// Taken out of the VM; the copy at the standby is kept.
      case detached
    }

    public var slot: DiskSlot
    /// Nil where the disk was not opened, as an excluded one is not.
    public var disk: DiskID?
    public var sizeBytes: Int64?
    public var state: State
    /// Of a seeding disk: how much of it the receiver holds.
    public var seededBytes: Int64?

    public init(slot: DiskSlot, disk: DiskID?, sizeBytes: Int64?, state: State, seededBytes: Int64? = nil) {
      self.slot = slot
      self.disk = disk
      self.sizeBytes = sizeBytes
      self.state = state
      self.seededBytes = seededBytes
    }
  }

  /// How a view was held.
  public struct Freeze: Sendable, Codable, Hashable {
    /// The name of the configuration: `none`, `reflink`, `vmware-snapshot`, `command`.
    public var provider: String
    /// From the freeze to the release of the view.
    public var heldSeconds: Double
    /// From the pre-freeze hook to the end of the post-thaw hook; nil without hooks.
    public var guestHeldSeconds: Double?
    /// How long files were being cloned, and who wrote to them waited; nil without clones.
    public var cloneSeconds: Double?

    public init(
      provider: String, heldSeconds: Double, guestHeldSeconds: Double? = nil, cloneSeconds: Double? = nil
    ) {
      self.provider = provider
      self.heldSeconds = heldSeconds
      self.guestHeldSeconds = guestHeldSeconds
      self.cloneSeconds = cloneSeconds
    }
  }

  /// A VM in a watched folder that no pass runs for.
  public struct Found: Sendable, Codable, Hashable {
    /// The watched folder it lies in.
    public var folder: String
    /// What to put beneath `vms:` of the configuration to protect it.
    public var configLine: String

    public init(folder: String, configLine: String) {
      self.folder = folder
      self.configLine = configLine
    }
  }
}
