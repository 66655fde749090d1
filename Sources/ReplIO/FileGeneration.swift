/// What tells a file that nobody touched from one that somebody wrote or replaced, without reading it.
public struct FileGeneration: Hashable, Sendable, Codable {
  public let inode: UInt64
  public let sizeBytes: Int64
  /// Nanoseconds since 1970.
  public let modifiedNanoseconds: Int64

  public init(inode: UInt64, sizeBytes: Int64, modifiedNanoseconds: Int64) {
    self.inode = inode
    self.sizeBytes = sizeBytes
    self.modifiedNanoseconds = modifiedNanoseconds
  }
}
