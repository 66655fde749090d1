import ReplModel

/// The hashes of the digest tree, by the rules of the page DigestMapFormat. Works on bytes; one per thread.
final class DigestTree {
  static let leafBytes = PageGrid.pagesPerLeaf * PageDigest.byteCount
  static let nodeBytes = Hash256.byteCount
  static let blockBytes = DigestTreeShape.fanOut * nodeBytes

  private let hasher = SHA256Hasher()

  /// The level 1 node of a whole leaf, into 32 bytes.
  func leafNode(_ leaf: UnsafeRawBufferPointer, into node: UnsafeMutableRawBufferPointer) {
    precondition(leaf.count == Self.leafBytes, "a leaf has 4096 bytes")
    if ZeroTest.isZero(leaf) { return Self.clear(node) }
    update([0x00])
    hasher.update(leaf)
    hasher.finalize(into: node)
  }

  /// The node of up to 256 children, one level below `level`, into 32 bytes.
  func innerNode(
    level: Int, children: UnsafeRawBufferPointer, into node: UnsafeMutableRawBufferPointer
  ) {
    precondition(children.count <= Self.blockBytes && level > 1, "a node has at most 256 children")
    if ZeroTest.isZero(children) { return Self.clear(node) }
    update([0x01, UInt8(level)])
    hasher.update(children)
    update([UInt8](repeating: 0, count: Self.blockBytes - children.count))
    hasher.finalize(into: node)
  }

  /// The root above the top node.
  func root(_ grid: PageGrid, top: UnsafeRawBufferPointer) -> Root {
    precondition(top.count == Self.nodeBytes, "a node has 32 bytes")
    var fields = HeaderFields(byteCount: 17)
    fields.put([0x02], at: 0)
    fields.put(DigestMapFormat.algorithm, at: 1)
    fields.put(UInt32(grid.pageSizeBytes), at: 5)
    fields.put(UInt64(grid.sizeBytes), at: 9)
    update(fields.bytes)
    hasher.update(top)
    return hasher.finalize()
  }

  private func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { hasher.update($0) } }

  private static func clear(_ node: UnsafeMutableRawBufferPointer) {
    node.initializeMemory(as: UInt8.self, repeating: 0)
  }
}
