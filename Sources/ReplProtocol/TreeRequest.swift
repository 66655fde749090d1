import ReplModel

/// The shape of a digest tree as far as the wire needs it: how many nodes a level has.
enum TreeLevels {
  private static let fanOut: Int64 = 256

  /// Nodes of a level of the disk's tree; nil when there is no such level. Level 1 has one node a leaf, the
  /// top level exactly one node.
  static func nodeCount(level: Int, grid: PageGrid) -> Int64? {
    guard level >= 1 else { return nil }
    var count = grid.leafCount
    var current = 1
    while current < level {
      guard count > 1 else { return nil }
      count = (count + fanOut - 1) / fanOut
      current += 1
    }
    return count
  }
}

/// The source asks for hashes of one level of a disk's digest tree at the target.
public struct NodesRequest: ControlMessage, Hashable {
  public static let type = MessageType.nodesRequest

  /// Disk index.
  public var disk: Int
  /// 1 is the hash of a leaf.
  public var level: Int
  /// The first node or leaf, from 0.
  public var first: Int64
  /// Nodes or leaves, 1 or more.
  public var count: Int

  public init(disk: Int, level: Int, first: Int64, count: Int) {
    self.disk = disk
    self.level = level
    self.first = first
    self.count = count
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try requireDisk(disk, in: limits.disks)
    try require((1...8).contains(level), "level", "\(level)", expected: "1 to 8")
    let most = limits.treeBodyBytes / Hash256.byteCount
    try require((1...most).contains(count), "count", "\(count)", expected: "1 to \(most)")
    try require(first >= 0, "first", "\(first)", expected: "0 or more")
  }

  /// Throws unless the nodes lie inside the tree of the disk.
  public func validate(disks: [PageGrid]) throws(ProtocolError) {
    try requireDisk(disk, in: disks.count)
    let nodes = TreeLevels.nodeCount(level: level, grid: disks[disk])
    try require(nodes != nil, "level", "\(level)", expected: "a level of the disk's tree")
    try require(
      first >= 0 && count >= 1 && first <= (nodes ?? 0) - Int64(count), "first and count",
      "\(first), \(count)",
      expected: "nodes below \(nodes ?? 0)")
  }
}

/// The source asks for the digests of whole leaves (256 pages each) at the target.
public struct LeavesRequest: ControlMessage, Hashable {
  public static let type = MessageType.leavesRequest
  /// Bytes of the 256 digests of one leaf.
  public static let leafByteCount = PageGrid.pagesPerLeaf * PageDigest.byteCount

  /// Disk index.
  public var disk: Int
  /// The first node or leaf, from 0.
  public var first: Int64
  /// Nodes or leaves, 1 or more.
  public var count: Int

  public init(disk: Int, first: Int64, count: Int) {
    self.disk = disk
    self.first = first
    self.count = count
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try requireDisk(disk, in: limits.disks)
    let most = limits.treeBodyBytes / Self.leafByteCount
    try require((1...most).contains(count), "count", "\(count)", expected: "1 to \(most)")
    try require(first >= 0, "first", "\(first)", expected: "0 or more")
  }

  /// Throws unless the leaves lie inside the disk.
  public func validate(disks: [PageGrid]) throws(ProtocolError) {
    try requireDisk(disk, in: disks.count)
    let leaves = disks[disk].leafCount
    try require(
      first >= 0 && count >= 1 && first <= leaves - Int64(count), "first and count", "\(first), \(count)",
      expected: "leaves below \(leaves)")
  }
}
