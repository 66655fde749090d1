import ReplModel

/// Something that can be read as a digest map: a map file, or a delta over one. Reads are safe from several
/// threads.
public protocol DigestView: AnyObject, Sendable {
  /// What it is a map of.
  var format: DigestMapFormat { get }

  /// Fills 256 entries; those past the last page are zero. Throws `.outOfRange` for a leaf outside the disk.
  func readLeaf(_ leaf: Int64, into digests: UnsafeMutableBufferPointer<PageDigest>) throws(DigestError)

  /// At most `DigestLimits.nodesPerRequest` nodes of one level (1 is just above the leaves). Throws
  /// `.outOfRange` otherwise, so that a peer's request may be passed on as it is.
  func nodes(level: Int, first: Int64, count: Int) throws(DigestError) -> [Hash256]

  /// The root of the whole.
  func root() throws(DigestError) -> Root

  /// The first leaf at or after `leaf` that may hold anything but zeros; nil when there is none. Costs
  /// little; a leaf that it leaves out is all zero.
  func leafWithContent(atOrAfter leaf: Int64) throws(DigestError) -> Int64?
}

extension DigestView {
  /// Every leaf may hold something.
  public func leafWithContent(atOrAfter leaf: Int64) throws(DigestError) -> Int64? {
    leaf < format.grid.leafCount ? max(0, leaf) : nil
  }
}

/// Refuses a leaf outside the disk.
func checkLeaf(_ leaf: Int64, of format: DigestMapFormat) throws(DigestError) {
  guard leaf >= 0, leaf < format.grid.leafCount else {
    throw DigestError(
      .outOfRange, "disk \(format.disk)", "leaf \(leaf) is outside the map of \(format.grid.leafCount) leaves"
    )
  }
}

/// Refuses nodes outside the tree, and more than the limit at once.
func checkNodes(level: Int, first: Int64, count: Int, of format: DigestMapFormat) throws(DigestError) {
  guard DigestTreeShape(grid: format.grid).allows(level: level, first: first, count: count) else {
    throw DigestError(
      .outOfRange, "disk \(format.disk)",
      "\(count) nodes from \(first) at level \(level) are outside the tree or over "
        + "\(DigestLimits.nodesPerRequest) at once")
  }
}
