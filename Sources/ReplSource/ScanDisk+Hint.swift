import ReplDigest

extension ScanDisk {
  /// The same disk, all of which is read.
  public var withoutHint: ScanDisk {
    ScanDisk(image: image, grid: grid, base: base, held: held, delta: delta, holes: holes)
  }

  /// The first leaf at or after `leaf` that a hint does not leave out; nil when there is none. Where what the
  /// receiver holds differs from the base map, nothing is left out.
  func leafToRead(atOrAfter leaf: Int64) -> Int64? {
    guard let hint else { return leaf < grid.leafCount ? max(0, leaf) : nil }
    let differing = (held as? DigestDelta)?.heldLeaf(atOrAfter: leaf)
    return [hint.nextLeaf(atOrAfter: leaf), differing].compactMap { $0 }.min()
  }
}
