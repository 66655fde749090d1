import ReplIO
import ReplModel

/// The root of a digest map that is made leaf by leaf from the first to the last and kept nowhere: 8 KiB of
/// memory a level of the tree, at most five.
final class StreamingRoot {
  private let grid: PageGrid
  private let shape: DigestTreeShape
  private let tree = DigestTree()
  private let node = AlignedBuffer(byteCount: DigestTree.nodeBytes)
  /// Nodes of each level whose parent is not complete; the first is level 1.
  private var pending: [[UInt8]]
  private var leafCount: Int64 = 0

  init(grid: PageGrid) {
    self.grid = grid
    shape = DigestTreeShape(grid: grid)
    pending = Array(repeating: [], count: shape.levelCount)
  }

  /// Adds the next leaf: 256 digests as the 4096 bytes of a file, zeros past the last page.
  func append(leaf: UnsafeRawBufferPointer) {
    precondition(leafCount < grid.leafCount, "more leaves than the disk has")
    tree.leafNode(leaf, into: node.bytes)
    leafCount += 1
    append(node.readable, level: 1)
  }

  /// The root, after the last leaf.
  func finish() -> Root {
    precondition(leafCount == grid.leafCount, "\(leafCount) of \(grid.leafCount) leaves")
    for level in 1..<shape.levelCount where !pending[level - 1].isEmpty { closeNode(above: level) }
    return pending[shape.levelCount - 1].withUnsafeBytes { tree.root(grid, top: $0) }
  }

  private func append(_ node: UnsafeRawBufferPointer, level: Int) {
    pending[level - 1] += node
    if pending[level - 1].count == DigestTree.blockBytes, level < shape.levelCount {
      closeNode(above: level)
    }
  }

  private func closeNode(above level: Int) {
    pending[level - 1].withUnsafeBytes {
      tree.innerNode(level: level + 1, children: $0, into: node.bytes)
    }
    pending[level - 1].removeAll(keepingCapacity: true)
    append(node.readable, level: level + 1)
  }
}
