import ReplDigest
import ReplModel

/// Leaves as they travel: 256 digests of 16 little-endian bytes each.
enum LeafBytes {
  static func read(_ view: any DigestView, first: Int64, count: Int) throws(DigestError) -> [UInt8] {
    let leaf = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
    defer { leaf.deallocate() }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * PageGrid.pagesPerLeaf * PageDigest.byteCount)
    for index in first..<(first + Int64(count)) {
      try view.readLeaf(index, into: leaf)
      for digest in leaf {
        append(digest.low, to: &bytes)
        append(digest.high, to: &bytes)
      }
    }
    return bytes
  }

  private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: word >> shift))
    }
  }
}
