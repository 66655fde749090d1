import ReplModel

/// What a digest map is a map of. Two maps can be compared, and a file can be used, only when these agree.
public struct DigestMapFormat: Sendable, Equatable {
  /// Poly1305 page digests in the tree of the page DigestMapFormat. The only algorithm there is.
  public static let algorithm: UInt32 = 1

  /// The disk.
  public let disk: DiskID
  /// Its size and page size.
  public let grid: PageGrid
  /// The key that its pages were digested with.
  public let keyID: KeyID

  /// Any combination; a file says which one it has.
  public init(disk: DiskID, grid: PageGrid, keyID: KeyID) {
    self.disk = disk
    self.grid = grid
    self.keyID = keyID
  }

  /// Whether a map of this format can be widened to one of `other`: the same disk, key and page size, on a
  /// larger disk.
  public func canWiden(to other: DigestMapFormat) -> Bool {
    disk == other.disk && keyID == other.keyID && grid.pageSizeBytes == other.grid.pageSizeBytes
      && grid.sizeBytes < other.grid.sizeBytes
  }

  /// Offsets 24 to 71 of every header.
  func put(into fields: inout HeaderFields) {
    fields.put(Self.algorithm, at: 24)
    fields.put(UInt32(grid.pageSizeBytes), at: 28)
    fields.put(UInt64(grid.sizeBytes), at: 32)
    fields.put(disk, at: 40)
    fields.put(keyID, at: 56)
  }

  /// Nil when the algorithm is unknown or the grid is not possible.
  init?(_ fields: HeaderFields) {
    guard fields.uint32(at: 24) == Self.algorithm, let size = Int64(exactly: fields.uint64(at: 32)),
      let grid = PageGrid(sizeBytes: size, pageSizeBytes: Int(fields.uint32(at: 28)))
    else { return nil }
    self.init(disk: fields.identifier(at: 40), grid: grid, keyID: fields.identifier(at: 56))
  }

  /// For messages: in what a file differs from what is expected; nil when in nothing.
  func difference(from expected: DigestMapFormat) -> String? {
    if disk != expected.disk { return "it is of disk \(disk), expected disk \(expected.disk)" }
    if keyID != expected.keyID { return "it was made with key \(keyID), expected key \(expected.keyID)" }
    if grid != expected.grid {
      return "it is of \(grid.sizeBytes) bytes in pages of \(grid.pageSizeBytes), "
        + "expected \(expected.grid.sizeBytes) bytes in pages of \(expected.grid.pageSizeBytes)"
    }
    return nil
  }
}
