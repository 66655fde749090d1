import ReplIO
import ReplModel

extension DigestDelta {
  /// The sealed delta of file `name` over `base`, checked from its leaves to its root.
  ///
  /// Nil when there is none. What is there but was never sealed, was merged already, or does not fit the
  /// base, is removed. Throws `.damaged` when a sealed delta is not what its header says; when the base is
  /// merging, both are lost then, and the map is built anew.
  public static func openSealed(
    _ name: String, in directory: any StorageDirectory, over base: DigestMap
  ) throws(DigestError) -> DigestDelta? {
    guard try storage({ () throws(IOError) in try directory.contains(name) }) else { return nil }
    let file = try storage { () throws(IOError) in try directory.openFile(name, .readWrite) }
    guard let (header, seal) = try readHeader(file), base.needsMerge(header, seal) else {
      try storage { () throws(IOError) in try directory.removeFile(name) }
      return nil
    }
    let size = try storage { () throws(IOError) in try file.currentSizeBytes() }
    guard size == base.content.layout.deltaBytes else {
      throw damaged(file, "it has \(size) bytes instead of \(base.content.layout.deltaBytes)")
    }
    let touched = try readBitmap(file, layout: base.content.layout, seal: seal)
    var levels = [touched]
    for _ in 1..<base.content.layout.shape.levelCount { levels.append(levels.last!.parents()) }
    let dirty = levels.dropFirst().map { LeafBitmap(bitCount: $0.bitCount) }
    let held = Held(phase: .sealed(seal), touched: levels, dirty: dirty, root: seal.root)
    let delta = DigestDelta(
      name, in: directory, over: base, baseRoot: header.baseRoot, file: file, held: held)
    try delta.verify(held, root: seal.root)
    return delta
  }

  /// Nil when the header is torn, unknown or not sealed.
  private static func readHeader(
    _ file: any StorageFile
  ) throws(DigestError) -> (DigestDeltaHeader, DigestDeltaHeader.Seal)? {
    let size = try storage { () throws(IOError) in try file.currentSizeBytes() }
    guard size >= Int64(DigestFileLayout.slotBytes) else { return nil }
    guard let header = DigestDeltaHeader(decoding: try DigestMap.slotBytes(file, at: 0)) else { return nil }
    return header.seal.map { (header, $0) }
  }

  private static func readBitmap(
    _ file: any StorageFile, layout: DigestFileLayout, seal: DigestDeltaHeader.Seal
  ) throws(DigestError) -> LeafBitmap {
    var words = [UInt64](repeating: 0, count: Int(layout.bitmapBytes / 8))
    var failure: DigestError?
    words.withUnsafeMutableBytes { bytes in
      do throws(IOError) { try file.read(into: bytes, at: layout.mapBytes) } catch {
        failure = DigestError(error)
      }
    }
    if let failure { throw failure }
    guard let bitmap = LeafBitmap(bitCount: layout.leafCount, words: words),
      bitmap.setCount == seal.touchedLeaves, hash(bitmap) == seal.bitmapHash
    else { throw damaged(file, "its bitmap is not the one that was sealed") }
    return bitmap
  }

  /// Every touched leaf against its node, every touched node against its children, the top against the root.
  private func verify(_ held: Held, root: Root) throws(DigestError) {
    let tree = DigestTree()
    let leaves = AlignedBuffer(byteCount: DigestLimits.leavesPerBlock * DigestTree.leafBytes)
    let nodes = AlignedBuffer(byteCount: 2 * DigestTree.blockBytes)
    var position: Int64 = 0
    while let run = held.touched[0].nextRun(atOrAfter: position, limit: DigestLimits.leavesPerBlock) {
      try verifyLeaves(tree, run, leaves.bytes, nodes.bytes)
      position = run.upperBound
    }
    for below in held.touched.indices.dropLast() {
      try verifyNodes(tree, level: below + 2, held, leaves.bytes, nodes.bytes)
    }
    let top = node(0, of: nodes.bytes)
    let levels = held.touched.count
    try readNodes(level: levels, from: 0, into: top, touched: held.touched[levels - 1])
    let found = tree.root(format.grid, top: UnsafeRawBufferPointer(top))
    guard found == root else {
      throw Self.damaged(content.file, "its root is \(found), its header says \(root)")
    }
  }

  private func verifyLeaves(
    _ tree: DigestTree, _ run: Range<Int64>, _ leaves: UnsafeMutableRawBufferPointer,
    _ nodes: UnsafeMutableRawBufferPointer
  ) throws(DigestError) {
    let count = Int(run.upperBound - run.lowerBound)
    let part = UnsafeMutableRawBufferPointer(rebasing: leaves[..<(count * DigestTree.leafBytes)])
    try content.readLeaves(from: run.lowerBound, into: part)
    let bytes = count * DigestTree.nodeBytes
    let computed = UnsafeMutableRawBufferPointer(rebasing: nodes[..<bytes])
    let stored = UnsafeMutableRawBufferPointer(rebasing: nodes[bytes..<(2 * bytes)])
    leafNodes(tree, UnsafeRawBufferPointer(part), into: computed)
    try content.readNodes(level: 1, from: run.lowerBound, into: stored)
    guard computed.elementsEqual(stored) else {
      throw Self.damaged(content.file, "a leaf in \(run) is not what was sealed")
    }
  }

  private func verifyNodes(
    _ tree: DigestTree, level: Int, _ held: Held, _ children: UnsafeMutableRawBufferPointer,
    _ nodes: UnsafeMutableRawBufferPointer
  ) throws(DigestError) {
    let (computed, stored) = (node(0, of: nodes), node(1, of: nodes))
    var position: Int64 = 0
    while let index = held.touched[level - 1].next(atOrAfter: position) {
      try computeNode(tree, level: level, index, held, children: children, into: computed)
      try content.readNodes(level: level, from: index, into: stored)
      guard computed.elementsEqual(stored) else {
        throw Self.damaged(content.file, "level \(level): node \(index) is not what was sealed")
      }
      position = index + 1
    }
  }

  private static func damaged(_ file: any StorageFile, _ found: String) -> DigestError {
    DigestError(.damaged, file.path, "the delta is damaged: \(found); discard it and build the map anew")
  }
}

extension DigestMap {
  /// Whether a sealed delta is still to be merged into this map, for the first time or again.
  func needsMerge(_ header: DigestDeltaHeader, _ seal: DigestDeltaHeader.Seal) -> Bool {
    guard header.format == format else { return false }
    return held.withLock { held in
      switch held.header.state {
      case .working: false
      case .merging: held.header.pass == seal.pass && held.header.root == seal.root
      case .at:
        held.header.root == header.baseRoot
          && !(held.header.pass == seal.pass && held.header.root == seal.root)
      }
    }
  }
}
