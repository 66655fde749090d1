import ReplIO
import ReplModel

extension DigestMap {
  /// Ends the building of a working map: computes the nodes, makes leaves and nodes durable, then names the
  /// point. Skips holes. Needs 1 MiB of memory. May be called again after it failed for want of space.
  public func finish(at reference: PointReference, pass: PassID) throws(DigestError) -> Root {
    try requireWorking()
    try content.clearNodes(fileBytes: content.layout.mapBytes)
    let top = try eachNodeBlock(withNodes: false) { (level, first, computed) throws(DigestError) in
      try content.writeNodes(level: level, from: first, computed)
    }
    try syncContent()
    try writeHeader { header in
      header.state = .at
      header.reference = reference
      header.pass = pass
      header.root = top
    }
    return top
  }

  /// Computes every node from the leaves and compares: throws `.damaged` when a leaf, node or the root is
  /// not what the map says. Reads all of the map but its holes.
  public func verify() throws(DigestError) {
    let expected = try requirePoint("a check")
    let current = UnsafeMutableRawBufferPointer.allocate(byteCount: DigestTree.blockBytes, alignment: 16)
    defer { current.deallocate() }
    let found = try eachNodeBlock(withNodes: true) { (level, first, computed) throws(DigestError) in
      let block = UnsafeMutableRawBufferPointer(rebasing: current[..<computed.count])
      try content.readNodes(level: level, from: first, into: block)
      guard block.elementsEqual(computed) else {
        throw DigestError(.damaged, path, "level \(level): a node near \(first) is wrong; build the map anew")
      }
    }
    guard found == expected else {
      throw DigestError(
        .damaged, path, "its root is \(found), the header says \(expected); build the map anew")
    }
  }

  /// Hands `body` the computed nodes of every block of up to 256 whose children hold anything (with
  /// `withNodes` also those that hold something themselves), level by level; answers the root. Each level
  /// is read back from the file for the next, so `body` has written or checked it.
  private func eachNodeBlock(
    withNodes: Bool,
    _ body: (_ level: Int, _ first: Int64, _ computed: UnsafeRawBufferPointer) throws(DigestError) -> Void
  ) throws(DigestError) -> Root {
    let tree = DigestTree()
    let shape = content.layout.shape
    let children = AlignedBuffer(byteCount: DigestLimits.leavesPerBlock * DigestTree.leafBytes)
    let computed = AlignedBuffer(byteCount: DigestTree.blockBytes)
    for level in 1...shape.levelCount {
      var next: Int64 = 0
      while let node = try nodeToCompute(level: level, atOrAfter: next, withNodes: withNodes) {
        let first = node / Int64(DigestTreeShape.fanOut) * Int64(DigestTreeShape.fanOut)
        let count = Int(min(Int64(DigestTreeShape.fanOut), shape.nodeCount(level: level) - first))
        let block = UnsafeMutableRawBufferPointer(rebasing: computed.bytes[..<(count * DigestTree.nodeBytes)])
        try compute(tree, level: level, first: first, into: block, children: children.bytes)
        try body(level, first, UnsafeRawBufferPointer(block))
        next = first + Int64(count)
      }
    }
    let top = UnsafeMutableRawBufferPointer(rebasing: computed.bytes[..<DigestTree.nodeBytes])
    try content.readNodes(level: shape.levelCount, from: 0, into: top)
    return tree.root(format.grid, top: UnsafeRawBufferPointer(top))
  }

  private func nodeToCompute(
    level: Int, atOrAfter index: Int64, withNodes: Bool
  ) throws(DigestError) -> Int64? {
    let fanOut = Int64(DigestTreeShape.fanOut)
    let fromChildren =
      level == 1
      ? try content.leafWithContent(atOrAfter: index)
      : try content.nodeWithContent(level: level - 1, atOrAfter: index * fanOut).map { $0 / fanOut }
    guard withNodes else { return fromChildren }
    let own = try content.nodeWithContent(level: level, atOrAfter: index)
    return [fromChildren, own].compactMap { $0 }.min()
  }

  /// The nodes `first...` of one level, from the level below.
  private func compute(
    _ tree: DigestTree, level: Int, first: Int64, into block: UnsafeMutableRawBufferPointer,
    children: UnsafeMutableRawBufferPointer
  ) throws(DigestError) {
    let count = block.count / DigestTree.nodeBytes
    if level == 1 {
      let leaves = UnsafeMutableRawBufferPointer(rebasing: children[..<(count * DigestTree.leafBytes)])
      try content.readLeaves(from: first, into: leaves)
      return leafNodes(tree, UnsafeRawBufferPointer(leaves), into: block)
    }
    for index in 0..<count {
      let range = content.layout.shape.children(ofNode: first + Int64(index), level: level)
      let bytes = Int(range.upperBound - range.lowerBound) * DigestTree.nodeBytes
      let part = UnsafeMutableRawBufferPointer(rebasing: children[..<bytes])
      try content.readNodes(level: level - 1, from: range.lowerBound, into: part)
      tree.innerNode(level: level, children: UnsafeRawBufferPointer(part), into: node(index, of: block))
    }
  }
}

/// The level 1 nodes of adjacent leaves.
func leafNodes(
  _ tree: DigestTree, _ leaves: UnsafeRawBufferPointer, into block: UnsafeMutableRawBufferPointer
) {
  let size = DigestTree.leafBytes
  for index in 0..<(leaves.count / size) {
    let leaf = UnsafeRawBufferPointer(rebasing: leaves[(index * size)..<((index + 1) * size)])
    tree.leafNode(leaf, into: node(index, of: block))
  }
}

/// The place of one node in a block of nodes.
func node(_ index: Int, of block: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer {
  let size = DigestTree.nodeBytes
  return UnsafeMutableRawBufferPointer(rebasing: block[(index * size)..<((index + 1) * size)])
}
