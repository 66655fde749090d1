/// What a storage does, found by doing it and looking at the result (`StorageProbe`); its name decides
/// nothing.
public struct StorageTraits: Sendable, Hashable, Codable {
  /// What punching a hole into a file did.
  public enum Holes: String, Sendable, Hashable, Codable {
    /// The range reads as zero and its space is free again.
    case freed
    /// The range reads as zero; its space was not seen to become free.
    case zeroed
    case refused
    /// It was said to be done, and the bytes are not what they must be.
    case wrong
  }

  /// For messages; no decision is made by it.
  public let filesystem: String
  /// A file takes space only where something was written.
  public let isSparse: Bool
  public let holes: Holes
  /// Whether it tells where a file has holes (SEEK_HOLE); else files are read in full.
  public let tellsHoles: Bool
  /// fallocate: informative, nothing is reserved that way.
  public let reservesSpace: Bool
  /// FICLONE: a copy of a file that takes no space.
  public let sharesBlocks: Bool
  /// O_DIRECT: informative, reading goes through the cache.
  public let readsDirectly: Bool
  /// A rename puts a file in another one's place.
  public let replacesByRename: Bool
  /// Names can be made durable.
  public let syncsDirectories: Bool
  /// A lock that one program holds keeps another one out.
  public let locksFiles: Bool
  /// The largest file that it took or, where trying would fill it, that the system allows; never more than
  /// `StorageProbe.sizeOfInterest`.
  public let largestFileBytes: Int64
  public let freeBytes: Int64
  /// Seconds of a small write with its sync.
  public let syncMedianSeconds: Double
  public let syncSlowestSeconds: Double

  public init(
    filesystem: String, isSparse: Bool, holes: Holes, tellsHoles: Bool, reservesSpace: Bool,
    sharesBlocks: Bool, readsDirectly: Bool, replacesByRename: Bool, syncsDirectories: Bool,
    locksFiles: Bool, largestFileBytes: Int64, freeBytes: Int64, syncMedianSeconds: Double,
    syncSlowestSeconds: Double
  ) {
    self.filesystem = filesystem
    self.isSparse = isSparse
    self.holes = holes
    self.tellsHoles = tellsHoles
    self.reservesSpace = reservesSpace
    self.sharesBlocks = sharesBlocks
    self.readsDirectly = readsDirectly
    self.replacesByRename = replacesByRename
    self.syncsDirectories = syncsDirectories
    self.locksFiles = locksFiles
    self.largestFileBytes = largestFileBytes
    self.freeBytes = freeBytes
    self.syncMedianSeconds = syncMedianSeconds
    self.syncSlowestSeconds = syncSlowestSeconds
  }

  /// Whether holes may be punched; else zeros are written.
  public var punchesHoles: Bool { holes == .freed || holes == .zeroed }

  /// Why no standby can be kept there, a sentence each; none when it can.
  public var obstacles: [String] {
    var obstacles: [String] = []
    if !replacesByRename {
      obstacles.append("a rename does not replace a file: no catalog could be changed safely")
    }
    if !syncsDirectories {
      obstacles.append(
        "a folder cannot be synced: after a power cut a committed recovery point could be gone")
    }
    if !locksFiles {
      obstacles.append("a locked file can be locked again: two programs could write one standby")
    }
    return obstacles
  }
}
