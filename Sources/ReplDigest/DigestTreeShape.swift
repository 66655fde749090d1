import ReplModel

/// How many nodes the digest tree of a disk has at each level. Level 1 has one node per leaf of 256
/// digests; each node above stands for up to 256 nodes below; the top level has one.
public struct DigestTreeShape: Sendable, Equatable {
  /// Children per node.
  public static let fanOut = 256

  /// Nodes per level; the first is level 1.
  private let counts: [Int64]

  /// The tree of a disk.
  public init(grid: PageGrid) {
    var counts = [grid.leafCount]
    while counts.last! > 1 {
      counts.append((counts.last! + Int64(Self.fanOut) - 1) / Int64(Self.fanOut))
    }
    self.counts = counts
  }

  /// 1 to 5; the number of the top level.
  public var levelCount: Int { counts.count }

  /// Nodes of one level, 1 to `levelCount`.
  public func nodeCount(level: Int) -> Int64 { counts[level - 1] }

  /// The children of a node of level 2 or higher: nodes of the level below.
  public func children(ofNode index: Int64, level: Int) -> Range<Int64> {
    let first = index * Int64(Self.fanOut)
    return first..<min(first + Int64(Self.fanOut), nodeCount(level: level - 1))
  }

  /// Whether a request for `count` nodes from `first` on is inside the level and the limits. For values
  /// from peers.
  public func allows(level: Int, first: Int64, count: Int) -> Bool {
    guard (1...levelCount).contains(level), (1...DigestLimits.nodesPerRequest).contains(count) else {
      return false
    }
    let limit = nodeCount(level: level)
    return first >= 0 && first < limit && Int64(count) <= limit - first
  }
}
