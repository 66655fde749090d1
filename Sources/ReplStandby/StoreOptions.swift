import ReplIO
import ReplModel

/// What is known of a store beyond its folder.
public struct StoreOptions: Sendable {
  /// Whether the store's files are thin, how large they may be; nil when nobody looked: then everything is
  /// tried.
  public var traits: StorageTraits?
  /// Bytes that the journal of one pass may have; nil: half of what is free above the floor when it begins.
  public var journalBudgetBytes: Int64?
  /// Opens the store's path anew, to see whether it still leads to the same folder; nil where it cannot
  /// change.
  public var reopen: (@Sendable () throws(StandbyError) -> any StorageDirectory)?

  /// Block devices that disks may lie on; nil: there are none.
  public var devices: StandbyDevices?

  public init(
    traits: StorageTraits? = nil, journalBudgetBytes: Int64? = nil, devices: StandbyDevices? = nil,
    reopen: (@Sendable () throws(StandbyError) -> any StorageDirectory)? = nil
  ) {
    self.traits = traits
    self.journalBudgetBytes = journalBudgetBytes
    self.devices = devices
    self.reopen = reopen
  }

  /// Files of the store may take all of their size at once.
  var isThick: Bool { traits?.isSparse == false }
}
