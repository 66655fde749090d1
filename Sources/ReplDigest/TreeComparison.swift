import ReplModel

/// Learns a peer's map by comparing trees: from the root down, only what differs is asked for, and the
/// leaves that differ are written into a delta over the local map.
///
/// Every answer is checked against the hash that its parent has named, so a peer that lies is caught at
/// that answer. Where the peer has nothing but zeros, nothing is asked. Depth first: memory is one block of
/// hashes per level.
///
///     while let request = try comparison.nextRequest() { try comparison.accept(...) }
///     try comparison.finish()
public struct TreeComparison {
  /// What to ask the peer.
  public enum Request: Equatable, Sendable {
    /// At most `DigestLimits.nodesPerRequest` nodes of a level.
    case nodes(level: Int, first: Int64, count: Int)
    /// At most `DigestLimits.leavesPerRequest` leaves.
    case leaves(first: Int64, count: Int)
  }

  /// A node of the peer's that differs from ours, not yet looked into.
  struct Differing {
    let level: Int
    let index: Int64
    let hash: Hash256
  }

  private let local: any DigestView
  private let delta: DigestDelta
  private let remoteRoot: Root
  private let shape: DigestTreeShape
  private let tree = DigestTree()
  private var pending: [Differing] = []
  private var asked: Request?
  /// The nodes that the answer to `asked` must hash to.
  private var expected: [Hash256] = []
  private var hasStarted = false

  /// Leaves asked for so far.
  public private(set) var fetchedLeaves: Int64 = 0

  /// Nothing is read before the first request. `local` and `delta` are of the same disk and key as the
  /// peer's map.
  public init(local: any DigestView, into delta: DigestDelta, remoteRoot: Root) {
    self.local = local
    self.delta = delta
    self.remoteRoot = remoteRoot
    shape = DigestTreeShape(grid: local.format.grid)
  }

  /// What to ask next; nil when all is known. The same request again until its answer was accepted.
  public mutating func nextRequest() throws(DigestError) -> Request? {
    if let asked { return asked }
    if !hasStarted {
      hasStarted = true
      if try local.root() == remoteRoot { return nil }
      return ask(.nodes(level: shape.levelCount, first: 0, count: 1), expecting: [])
    }
    while let differing = pending.popLast() {
      if differing.hash == .zero {
        try clear(differing)
      } else if differing.level == 1 {
        return askForLeaves(from: differing)
      } else {
        let range = shape.children(ofNode: differing.index, level: differing.level)
        let count = Int(range.upperBound - range.lowerBound)
        return ask(
          .nodes(level: differing.level - 1, first: range.lowerBound, count: count),
          expecting: [differing.hash])
      }
    }
    return nil
  }

  /// The answer to a request for nodes. Throws `.badAnswer` when it is not what the parent's hash says.
  public mutating func accept(nodes: [Hash256]) throws(DigestError) {
    guard case .nodes(let level, let first, let count) = asked else {
      throw badAnswer("nodes were not asked for")
    }
    guard nodes.count == count else { throw badAnswer("\(nodes.count) nodes, \(count) were asked for") }
    try check(nodes, level: level)
    let ours = try local.nodes(level: level, first: first, count: count)
    asked = nil
    // Last in, first out: the lowest index is looked into first, so that adjacent leaves come together.
    for index in (0..<count).reversed() where nodes[index] != ours[index] {
      pending.append(Differing(level: level, index: first + Int64(index), hash: nodes[index]))
    }
  }

  /// The answer to a request for leaves: 4096 bytes each, little-endian digests. Throws `.badAnswer` when
  /// it is not what the node's hash says.
  public mutating func accept(leaves: UnsafeRawBufferPointer) throws(DigestError) {
    guard case .leaves(let first, let count) = asked else { throw badAnswer("leaves were not asked for") }
    let size = DigestTree.leafBytes
    guard leaves.count == count * size else {
      throw badAnswer("\(leaves.count) bytes of leaves, \(count * size) were asked for")
    }
    for index in 0..<count {
      let leaf = UnsafeRawBufferPointer(rebasing: leaves[(index * size)..<((index + 1) * size)])
      try check(leaf, expected[index], first + Int64(index))
    }
    for index in 0..<count {
      let leaf = UnsafeRawBufferPointer(rebasing: leaves[(index * size)..<((index + 1) * size)])
      try write(leaf, as: first + Int64(index))
    }
    asked = nil
  }

  /// When no request is left: the delta over the local map has the peer's root, else `.rootMismatch`.
  public mutating func finish() throws(DigestError) {
    guard try nextRequest() == nil else {
      throw DigestError(.wrongState, delta.path, "the comparison is not at its end")
    }
    let found = try delta.root()
    guard found == remoteRoot else {
      throw DigestError(
        .rootMismatch, delta.path, "after the comparison the root is \(found), the peer's is \(remoteRoot)")
    }
  }
}

extension TreeComparison {
  private mutating func ask(_ request: Request, expecting hashes: [Hash256]) -> Request {
    asked = request
    expected = hashes
    return request
  }

  /// Adjacent differing leaves in one request.
  private mutating func askForLeaves(from first: Differing) -> Request {
    var hashes = [first.hash]
    while hashes.count < DigestLimits.leavesPerRequest, let next = pending.last, next.level == 1,
      next.index == first.index + Int64(hashes.count), next.hash != .zero
    {
      hashes.append(pending.removeLast().hash)
    }
    fetchedLeaves += Int64(hashes.count)
    return ask(.leaves(first: first.index, count: hashes.count), expecting: hashes)
  }

  private func check(_ nodes: [Hash256], level: Int) throws(DigestError) {
    let bytes = nodes.flatMap(\.bytes)
    guard let parent = expected.first else {
      let root = bytes.withUnsafeBytes { tree.root(local.format.grid, top: $0) }
      guard root == remoteRoot else {
        throw badAnswer("the top node gives root \(root), announced was \(remoteRoot)")
      }
      return
    }
    let found = nodeHash { node in
      bytes.withUnsafeBytes { tree.innerNode(level: level + 1, children: $0, into: node) }
    }
    guard found == parent else {
      throw badAnswer("nodes of level \(level) hash to \(found), their parent is \(parent)")
    }
  }

  private func check(_ leaf: UnsafeRawBufferPointer, _ hash: Hash256, _ index: Int64) throws(DigestError) {
    let found = nodeHash { tree.leafNode(leaf, into: $0) }
    guard found == hash else { throw badAnswer("leaf \(index) hashes to \(found), its node is \(hash)") }
  }

  private func nodeHash(_ compute: (UnsafeMutableRawBufferPointer) -> Void) -> Hash256 {
    var bytes = [UInt8](repeating: 0, count: Hash256.byteCount)
    bytes.withUnsafeMutableBytes { compute($0) }
    return Hash256(bytes: bytes)!
  }

  /// The answer may lie at any address, so it is copied to where digests may lie.
  private func write(_ leaf: UnsafeRawBufferPointer, as index: Int64) throws(DigestError) {
    let digests = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
    defer { digests.deallocate() }
    PageDigestLayout.bytes(digests).copyMemory(from: leaf)
    do throws(DigestError) {
      try delta.writeLeaf(index, UnsafeBufferPointer(digests))
    } catch {
      guard error.code == .outOfRange else { throw error }
      throw badAnswer("leaf \(index): \(error.detail)")
    }
  }

  /// The peer has zeros in all of this node: our leaves beneath it that hold something are cleared.
  private func clear(_ differing: Differing) throws(DigestError) {
    var range = differing.index..<(differing.index + 1)
    for level in stride(from: differing.level, to: 1, by: -1) {
      range =
        shape.children(ofNode: range.lowerBound, level: level)
        .lowerBound..<shape.children(ofNode: range.upperBound - 1, level: level).upperBound
    }
    let digests = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
    defer { digests.deallocate() }
    let zeros = [UInt8](repeating: 0, count: DigestTree.leafBytes)
    var position = range.lowerBound
    while let leaf = try local.leafWithContent(atOrAfter: position), leaf < range.upperBound {
      try local.readLeaf(leaf, into: digests)
      let isZero = ZeroTest.isZero(UnsafeRawBufferPointer(PageDigestLayout.bytes(digests)))
      if !isZero {
        var failure: DigestError?
        zeros.withUnsafeBytes { bytes in
          do throws(DigestError) { try write(bytes, as: leaf) } catch { failure = error }
        }
        if let failure { throw failure }
      }
      position = leaf + 1
    }
  }

  private func badAnswer(_ found: String) -> DigestError {
    DigestError(
      .badAnswer, "disk \(local.format.disk)", "the peer's answer is wrong: \(found); its map may be damaged")
  }
}
