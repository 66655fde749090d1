import ReplModel

/// Where things stand in a map or delta file; see the page DigestMapFormat.
struct DigestFileLayout: Sendable {
  static let slotBytes = 512
  static let slotStride: Int64 = 4096
  static let leavesOffset: Int64 = 8192

  let shape: DigestTreeShape
  let leafCount: Int64
  /// Where each level's nodes start; the first is level 1.
  private let nodeOffsets: [Int64]
  /// The length of a map file; in a delta the bitmap starts here.
  let mapBytes: Int64

  init(grid: PageGrid) {
    shape = DigestTreeShape(grid: grid)
    leafCount = grid.leafCount
    var offset = Self.leavesOffset + leafCount * Int64(DigestTree.leafBytes)
    var offsets: [Int64] = []
    for level in 1...shape.levelCount {
      offsets.append(offset)
      offset = Self.aligned(offset + shape.nodeCount(level: level) * Int64(DigestTree.nodeBytes))
    }
    nodeOffsets = offsets
    mapBytes = offset
  }

  func leafOffset(_ leaf: Int64) -> Int64 { Self.leavesOffset + leaf * Int64(DigestTree.leafBytes) }
  func nodeOffset(level: Int, _ index: Int64) -> Int64 {
    nodeOffsets[level - 1] + index * Int64(DigestTree.nodeBytes)
  }
  var nodesOffset: Int64 { nodeOffsets[0] }
  var bitmapBytes: Int64 { (leafCount + 63) / 64 * 8 }
  var deltaBytes: Int64 { mapBytes + bitmapBytes }

  private static func aligned(_ offset: Int64) -> Int64 { (offset + 4095) & ~4095 }
}
