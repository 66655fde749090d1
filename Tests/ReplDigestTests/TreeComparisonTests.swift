import ReplIO
import ReplModel
import Testing

@testable import ReplDigest

@Suite struct TreeComparisonTests {
  /// Answers as an honest peer does.
  private func answer(
    _ request: TreeComparison.Request, _ remote: DigestMap, _ comparison: inout TreeComparison
  ) throws {
    switch request {
    case .nodes(let level, let first, let count):
      #expect(count <= DigestLimits.nodesPerRequest)
      try comparison.accept(nodes: remote.nodes(level: level, first: first, count: count))
    case .leaves(let first, let count):
      #expect(count <= DigestLimits.leavesPerRequest)
      try accept(try leafBytes(remote, first, count), &comparison)
    }
  }

  private func leafBytes(_ map: DigestMap, _ first: Int64, _ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var leaf = [PageDigest](repeating: .zero, count: 256)
    for index in 0..<count {
      try leaf.withUnsafeMutableBufferPointer { try map.readLeaf(first + Int64(index), into: $0) }
      bytes += leaf.flatMap(ModelMap.bytes)
    }
    return bytes
  }

  /// Hands over the bytes at an odd address, as a frame may.
  private func accept(_ bytes: [UInt8], _ comparison: inout TreeComparison) throws {
    try ([0] + bytes).withUnsafeBytes { buffer in
      try comparison.accept(leaves: UnsafeRawBufferPointer(rebasing: buffer[1...]))
    }
  }

  private struct Setup {
    let local: DigestMap
    let delta: DigestDelta
    let remote: DigestMap
  }

  private func setup(_ ours: ModelMap, _ theirs: ModelMap) throws -> Setup {
    let disk = CuttableDisk()
    let local = try Fixture.build("local", ours, in: disk)
    let delta = try DigestDelta.create("delta", in: disk, over: local)
    return Setup(local: local, delta: delta, remote: try Fixture.build("remote", theirs, in: disk))
  }

  private func compare(_ ours: ModelMap, _ theirs: ModelMap, _ name: Comment) throws {
    let parts = try setup(ours, theirs)
    var comparison = TreeComparison(local: parts.local, into: parts.delta, remoteRoot: theirs.root())
    var requests = 0
    while let request = try comparison.nextRequest() {
      #expect(try comparison.nextRequest() == request, name)
      try answer(request, parts.remote, &comparison)
      requests += 1
    }
    try comparison.finish()
    #expect(try ModelMap(reading: parts.delta) == theirs, name)
    let differing = (0..<ours.format.grid.leafCount).filter { ours.leaf($0) != theirs.leaf($0) }
    // Every differing leaf lands in the delta; those that are zero at the peer need not travel.
    #expect(Fixture.heldLeaves(of: parts.delta) == differing, name)
    #expect(comparison.fetchedLeaves == Int64(differing.filter { !theirs.isZeroLeaf($0) }.count), name)
    #expect((requests == 0) == (ours == theirs), name)
  }

  @Test("comparing fetches exactly the leaves that differ and ends with the peer's map", arguments: gridSizes)
  func property(pages: Int64) throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SplitMix(seed: seed)
    let format = Fixture.format(pages: pages)
    let (empty, full) = (ModelMap(format), ModelMap.random(format, density: 100, &random))
    var near = full
    for _ in 0..<5 { near.change(Int64.random(in: 0..<format.grid.leafCount, using: &random), &random) }
    let sparse = ModelMap.random(format, density: 10, &random)
    let pairs = [
      (empty, full), (full, empty), (full, near), (near, full), (full, full), (empty, empty), (sparse, near),
    ]
    for (index, pair) in pairs.enumerated() { try compare(pair.0, pair.1, "seed \(seed) pair \(index)") }
  }

  @Test("a difference of one page in a large map is found with one request per level")
  func oneLeaf() throws {
    var random = SplitMix(seed: 51)
    let ours = ModelMap.random(Fixture.format(pages: 65_537), density: 100, &random)
    var theirs = ours
    theirs.digests[40_000] = PageDigest(low: 1, high: 2)
    let parts = try setup(ours, theirs)
    var comparison = TreeComparison(local: parts.local, into: parts.delta, remoteRoot: theirs.root())
    var requests: [TreeComparison.Request] = []
    while let request = try comparison.nextRequest() {
      requests.append(request)
      try answer(request, parts.remote, &comparison)
    }
    try comparison.finish()
    #expect(
      requests == [
        .nodes(level: 3, first: 0, count: 1), .nodes(level: 2, first: 0, count: 2),
        .nodes(level: 1, first: 0, count: 256), .leaves(first: 156, count: 1),
      ])
  }

  @Test("any changed bit, and any wrong count, in any answer is caught at that answer", arguments: 0..<8)
  func liars(seed: Int) throws {
    var random = SplitMix(seed: UInt64(seed))
    let format = Fixture.format(pages: 65_537)
    let (ours, theirs) = (ModelMap(format), ModelMap.random(format, density: 8, &random))
    let parts = try setup(ours, theirs)
    var comparison = TreeComparison(local: parts.local, into: parts.delta, remoteRoot: theirs.root())
    for _ in 0..<Int.random(in: 0...6, using: &random) {
      guard let request = try comparison.nextRequest() else { break }
      try answer(request, parts.remote, &comparison)
    }
    let request = try #require(try comparison.nextRequest())
    let root = try parts.delta.root()
    for attempt in 0..<4 {
      let found = code { try lie(request, parts.remote, attempt, &comparison, &random) }
      #expect(found == .badAnswer, "attempt \(attempt) at \(request)")
    }
    // Nothing of a lie was taken; the honest answer still is.
    #expect(try parts.delta.root() == root)
    while let request = try comparison.nextRequest() { try answer(request, parts.remote, &comparison) }
    try comparison.finish()
    #expect(try parts.delta.root() == theirs.root())
  }

  private func lie(
    _ request: TreeComparison.Request, _ remote: DigestMap, _ attempt: Int,
    _ comparison: inout TreeComparison,
    _ random: inout SplitMix
  ) throws {
    switch request {
    case .nodes(let level, let first, let count):
      var nodes = try remote.nodes(level: level, first: first, count: count)
      switch attempt {
      case 0: nodes.removeLast()
      case 1: nodes.append(.zero)
      case 2: return try accept([UInt8](repeating: 0, count: count * 32), &comparison)
      default:
        let index = Int.random(in: 0..<count, using: &random)
        var bytes = nodes[index].bytes
        bytes[Int.random(in: 0..<32, using: &random)] ^= 4
        nodes[index] = Hash256(bytes: bytes)!
      }
      try comparison.accept(nodes: nodes)
    case .leaves(let first, let count):
      var bytes = try leafBytes(remote, first, count)
      switch attempt {
      case 0: bytes.removeLast()
      case 1: bytes += [UInt8](repeating: 0, count: 4096)
      case 2: return try comparison.accept(nodes: [])
      default: bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 4
      }
      try accept(bytes, &comparison)
    }
  }

  @Test("digests of pages past the end of the disk are refused though they hash to what the peer says")
  func pastTheEnd() throws {
    let format = Fixture.format(pages: 10)
    let ours = ModelMap(format)
    let parts = try setup(ours, ours)
    // A peer whose only leaf has an 11th digest, with node and root to match.
    let leaf = [UInt8](repeating: 1, count: 11 * 16) + [UInt8](repeating: 0, count: 4096 - 11 * 16)
    let node = SHA256Hasher.hash([0] + leaf)
    let root = node.bytes.withUnsafeBytes { DigestTree().root(format.grid, top: $0) }
    var comparison = TreeComparison(local: parts.local, into: parts.delta, remoteRoot: root)
    #expect(try comparison.nextRequest() == .nodes(level: 1, first: 0, count: 1))
    try comparison.accept(nodes: [node])
    #expect(try comparison.nextRequest() == .leaves(first: 0, count: 1))
    #expect(code { try accept(leaf, &comparison) } == .badAnswer)
  }

  @Test("an answer nobody asked for is refused, and finish before the end as well")
  func order() throws {
    var random = SplitMix(seed: 61)
    let format = Fixture.format(pages: 300)
    let theirs = ModelMap.random(format, density: 100, &random)
    let parts = try setup(ModelMap(format), theirs)
    var comparison = TreeComparison(local: parts.local, into: parts.delta, remoteRoot: theirs.root())
    #expect(code { try comparison.accept(nodes: []) } == .badAnswer)
    #expect(code { try accept([], &comparison) } == .badAnswer)
    #expect(code { try comparison.finish() } == .wrongState)
  }
}
