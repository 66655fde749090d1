import ReplIO
import ReplModel

extension DigestDelta {
  /// Makes the base map that of the sealed pass, at `reference`, and removes the delta.
  ///
  /// Cut off anywhere, it is done again with the delta that `openSealed` finds, and arrives at the same
  /// root: the base says that it is merging before its first leaf changes, and the delta lives until the
  /// base says that it is done.
  public func merge(as reference: PointReference) throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in
      try requireThere(held)
      guard case .sealed(let seal) = held.phase else {
        throw DigestError(.wrongState, path, "only a sealed delta can be merged")
      }
      var header = DigestDeltaHeader(format: format, baseRoot: baseRoot)
      header.seal = seal
      if base.needsMerge(header, seal) { try merge(held, seal, as: reference) }
      guard try base.requirePoint("the end of a merge") == seal.root else {
        throw DigestError(.foreign, path, "the base map moved on without this delta; discard the delta")
      }
      // Not synced: a delta that comes back after a crash is seen to be merged already.
      try storage { () throws(IOError) in try directory.removeFile(name) }
      held.phase = .gone
    }
  }

  private func merge(
    _ held: Held, _ seal: DigestDeltaHeader.Seal, as reference: PointReference
  ) throws(DigestError) {
    try base.writeHeader { header in
      header.state = .merging
      header.reference = reference
      header.pass = seal.pass
      header.root = seal.root
    }
    try copyLeaves(held.touched[0])
    for (below, touched) in held.touched.enumerated() { try copyNodes(level: below + 1, touched) }
    try checkTop(seal.root)
    try base.syncContent()
    try base.writeHeader { header in header.state = .at }
  }

  private func copyLeaves(_ touched: LeafBitmap) throws(DigestError) {
    let buffer = AlignedBuffer(byteCount: DigestLimits.leavesPerBlock * DigestTree.leafBytes)
    var position: Int64 = 0
    while let run = touched.nextRun(atOrAfter: position, limit: DigestLimits.leavesPerBlock) {
      let bytes = Int(run.upperBound - run.lowerBound) * DigestTree.leafBytes
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<bytes])
      try content.readLeaves(from: run.lowerBound, into: part)
      try base.content.writeLeaves(from: run.lowerBound, UnsafeRawBufferPointer(part))
      position = run.upperBound
    }
  }

  private func copyNodes(level: Int, _ touched: LeafBitmap) throws(DigestError) {
    let buffer = AlignedBuffer(byteCount: DigestTree.blockBytes)
    var position: Int64 = 0
    while let run = touched.nextRun(atOrAfter: position, limit: DigestTreeShape.fanOut) {
      let bytes = Int(run.upperBound - run.lowerBound) * DigestTree.nodeBytes
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<bytes])
      try content.readNodes(level: level, from: run.lowerBound, into: part)
      try base.content.writeNodes(level: level, from: run.lowerBound, UnsafeRawBufferPointer(part))
      position = run.upperBound
    }
  }

  /// The invariant once more, from what was read back: the base has the pass's root.
  private func checkTop(_ root: Root) throws(DigestError) {
    let buffer = AlignedBuffer(byteCount: DigestTree.nodeBytes)
    try base.content.readNodes(level: content.layout.shape.levelCount, from: 0, into: buffer.bytes)
    let found = DigestTree().root(format.grid, top: buffer.readable)
    guard found == root else {
      throw DigestError(
        .rootMismatch, base.path, "merged to root \(found), expected \(root); build the map anew")
    }
  }
}
