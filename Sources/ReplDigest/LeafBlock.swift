import ReplModel

/// One leaf's digests as the 4096 bytes of a file.
enum LeafBlock {
  /// Hands `body` the whole leaf. `digests` holds 256 entries, or as many as the leaf has pages; entries
  /// past the last page are zero, else `.outOfRange`: they would be digests of pages that do not exist.
  static func withBytes<Value>(
    _ digests: UnsafeBufferPointer<PageDigest>, ofLeaf leaf: Int64, of format: DigestMapFormat,
    _ body: (UnsafeRawBufferPointer) throws(DigestError) -> Value
  ) throws(DigestError) -> Value {
    try checkLeaf(leaf, of: format)
    let pages = format.grid.pages(ofLeaf: leaf)
    let pageCount = Int(pages.upperBound - pages.lowerBound)
    guard digests.count == PageGrid.pagesPerLeaf || digests.count == pageCount else {
      throw DigestError(
        .outOfRange, "disk \(format.disk)",
        "leaf \(leaf) has \(pageCount) pages, \(digests.count) digests were given")
    }
    let bytes = PageDigestLayout.bytes(digests)
    let used = pageCount * PageDigest.byteCount
    guard ZeroTest.isZero(UnsafeRawBufferPointer(rebasing: bytes[used...])) else {
      throw DigestError(
        .outOfRange, "disk \(format.disk)",
        "leaf \(leaf) holds digests past the last of its \(pageCount) pages")
    }
    if bytes.count == DigestTree.leafBytes { return try body(bytes) }
    let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: DigestTree.leafBytes, alignment: 16)
    defer { whole.deallocate() }
    whole.initializeMemory(as: UInt8.self, repeating: 0)
    whole.copyMemory(from: bytes)
    return try body(UnsafeRawBufferPointer(whole))
  }
}
