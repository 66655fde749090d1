import ReplIO
import ReplModel

extension DigestDelta {
  /// The root of base plus delta. Hashes only touched leaves (when they are written) and their ancestors
  /// (here). Call it when writing has ended: writers wait meanwhile.
  public func root() throws(DigestError) -> Root {
    try held.withLock { (held) throws(DigestError) in
      try requireThere(held)
      if case .sealed(let seal) = held.phase { return seal.root }
      return try refresh(&held)
    }
  }

  /// Nodes of base plus delta.
  public func nodes(level: Int, first: Int64, count: Int) throws(DigestError) -> [Hash256] {
    try checkNodes(level: level, first: first, count: count, of: format)
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: count * DigestTree.nodeBytes, alignment: 16)
    defer { buffer.deallocate() }
    try held.withLock { (held) throws(DigestError) in
      try requireThere(held)
      if held.phase == .open { _ = try refresh(&held) }
      try readNodes(level: level, from: first, into: buffer, touched: held.touched[level - 1])
    }
    return hashes(UnsafeRawBufferPointer(buffer))
  }

  /// Brings every dirty node up to date, level by level from the bottom.
  func refresh(_ held: inout Held) throws(DigestError) -> Root {
    if let root = held.root { return root }
    let tree = DigestTree()
    let buffer = AlignedBuffer(byteCount: DigestTree.blockBytes + DigestTree.nodeBytes)
    let top = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[DigestTree.blockBytes...])
    for (below, dirty) in held.dirty.enumerated() {
      let level = below + 2
      var position: Int64 = 0
      while let index = dirty.next(atOrAfter: position) {
        try computeNode(tree, level: level, index, held, children: buffer.bytes, into: top)
        try content.writeNodes(level: level, from: index, UnsafeRawBufferPointer(top))
        position = index + 1
      }
      // Parents were marked when the leaf was written, so nothing is lost when a later level fails.
    }
    let levels = content.layout.shape.levelCount
    try readNodes(level: levels, from: 0, into: top, touched: held.touched[levels - 1])
    let root = tree.root(format.grid, top: UnsafeRawBufferPointer(top))
    for level in held.dirty.indices { held.dirty[level].removeAll() }
    held.root = root
    return root
  }

  /// One node of level 2 or higher from its children, into 32 bytes. `children` is room for a block.
  func computeNode(
    _ tree: DigestTree, level: Int, _ index: Int64, _ held: Held,
    children: UnsafeMutableRawBufferPointer, into node: UnsafeMutableRawBufferPointer
  ) throws(DigestError) {
    let range = content.layout.shape.children(ofNode: index, level: level)
    let bytes = Int(range.upperBound - range.lowerBound) * DigestTree.nodeBytes
    let block = UnsafeMutableRawBufferPointer(rebasing: children[..<bytes])
    try readNodes(level: level - 1, from: range.lowerBound, into: block, touched: held.touched[level - 2])
    tree.innerNode(level: level, children: UnsafeRawBufferPointer(block), into: node)
  }

  /// Nodes of the base, with touched ones laid over them.
  func readNodes(
    level: Int, from first: Int64, into buffer: UnsafeMutableRawBufferPointer, touched: LeafBitmap
  ) throws(DigestError) {
    try base.content.readNodes(level: level, from: first, into: buffer)
    let size = DigestTree.nodeBytes
    let end = first + Int64(buffer.count / size)
    var position = first
    while let run = touched.nextRun(atOrAfter: position, limit: DigestTreeShape.fanOut), run.lowerBound < end
    {
      let stop = min(run.upperBound, end)
      let start = Int(run.lowerBound - first) * size
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<(Int(stop - first) * size)])
      try content.readNodes(level: level, from: run.lowerBound, into: part)
      position = stop
    }
  }
}
