import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplDigest

/// 1 page, a leaf less one page, a leaf, a leaf and a page, several leaves, and three levels.
let gridSizes: [Int64] = [1, 255, 256, 257, 1000, 65_536, 65_537]

@Suite struct DigestMapTests {
  @Test("a finished map has the root and nodes that the format page defines", arguments: gridSizes)
  func build(pages: Int64) throws {
    var random = SplitMix(seed: UInt64(pages))
    for density in [0, 3, 60] {
      let disk = CuttableDisk()
      let model = ModelMap.random(Fixture.format(pages: pages), density: density, &random)
      let map = try Fixture.build("map", model, in: disk, number: 3)
      #expect(map.state == .at(Fixture.point(3), pass: Fixture.pass(3)))
      #expect(try map.root() == model.root(), "density \(density)")
      #expect(try ModelMap(reading: map) == model)
      for (index, expected) in model.levels().enumerated() {
        let count = min(256, expected.count)
        #expect(try map.nodes(level: index + 1, first: 0, count: count) == Array(expected[..<count]))
      }
      try map.verify()
    }
  }

  @Test("a map opens again with its state, root and content")
  func reopen() throws {
    var random = SplitMix(seed: 5)
    let disk = CuttableDisk()
    let model = ModelMap.random(Fixture.format(pages: 700), density: 70, &random)
    let built = try Fixture.build("map", model, in: disk, number: 9)
    let map = try DigestMap.open("map", in: disk, format: model.format)
    #expect(map.state == built.state)
    #expect(try map.root() == model.root())
    #expect(try ModelMap(reading: map) == model)
  }

  @Test("equal content of disks of different size or page size has different roots, also when all is zero")
  func lengthBinding() throws {
    var roots: Set<Root> = []
    let formats = [
      Fixture.format(pages: 256), Fixture.format(pages: 256, lastPageBytes: 2), Fixture.format(pages: 257),
      Fixture.format(pages: 256, pageSize: 8192), Fixture.format(pages: 65_537),
    ]
    for format in formats {
      roots.insert(try Fixture.build("map", ModelMap(format), in: CuttableDisk()).root())
    }
    #expect(roots.count == formats.count)
  }

  @Test("a working map takes leaves in any order, again and again, and clears them")
  func rewrite() throws {
    var random = SplitMix(seed: 11)
    let format = Fixture.format(pages: 600)
    let map = try DigestMap.create("map", in: CuttableDisk(), format: format)
    #expect(map.state == .working)
    var model = ModelMap(format)
    for _ in 0..<40 {
      let leaf = Int64.random(in: 0..<3, using: &random)
      model.change(leaf, &random)
      try Fixture.write(model.leaf(leaf), leaf, map.writeLeaf)
    }
    #expect(try map.finish(at: Fixture.point(1), pass: Fixture.pass(1)) == model.root())
    #expect(try ModelMap(reading: map) == model)
  }

  @Test("a finish that failed can be done again after more leaves, without stale nodes")
  func finishAgain() throws {
    var random = SplitMix(seed: 12)
    let format = Fixture.format(pages: 65_537)
    for cut in 1...3 {
      var model = ModelMap.random(format, density: 30, &random)
      let disk = CuttableDisk()
      let map = try DigestMap.create("map", in: disk, format: format)
      for leaf in 0..<257 { try Fixture.write(model.leaf(Int64(leaf)), Int64(leaf), map.writeLeaf) }
      disk.cut(atOperation: 2 + cut)
      #expect(code { _ = try map.finish(at: Fixture.point(1), pass: Fixture.pass(1)) } == .storage)
      disk.contents.withLock {
        $0.isOff = false; $0.cutAt = .max
      }
      for leaf: Int64 in 0..<257 {
        for page in format.grid.pages(ofLeaf: leaf) { model.digests[Int(page)] = .zero }
        if leaf % 2 == 0 { model.change(leaf, &random) }
        try Fixture.write(model.leaf(leaf), leaf, map.writeLeaf)
      }
      #expect(try map.finish(at: Fixture.point(1), pass: Fixture.pass(1)) == model.root())
      try map.verify()
    }
  }

  @Test("after a failed sync a map refuses everything that would claim or change")
  func suspect() throws {
    let format = Fixture.format(pages: 10)
    let disk = CuttableDisk()
    let map = try DigestMap.create("map", in: disk, format: format)
    disk.cut(atOperation: 1)
    #expect(code { try map.sync() } == .storage)
    disk.contents.withLock {
      $0.isOff = false; $0.cutAt = .max
    }
    #expect(code { try map.sync() } == .suspect)
    #expect(code { _ = try map.finish(at: Fixture.point(1), pass: Fixture.pass(1)) } == .suspect)
  }

  @Test("a map of another disk, key, size or page size is foreign, a missing one missing")
  func foreign() throws {
    let disk = CuttableDisk()
    let format = Fixture.format(pages: 300)
    _ = try Fixture.build("map", ModelMap(format), in: disk)
    let others = [
      DigestMapFormat(disk: DiskID(high: 9, low: 9), grid: format.grid, keyID: format.keyID),
      DigestMapFormat(disk: format.disk, grid: format.grid, keyID: KeyID(high: 9, low: 9)),
      DigestMapFormat(disk: format.disk, grid: Fixture.format(pages: 301).grid, keyID: format.keyID),
      DigestMapFormat(
        disk: format.disk, grid: PageGrid(sizeBytes: format.grid.sizeBytes, pageSizeBytes: 65_536)!,
        keyID: format.keyID),
    ]
    for other in others {
      #expect(code { _ = try DigestMap.open("map", in: disk, format: other) } == .foreign)
    }
    #expect(code { _ = try DigestMap.open("none", in: disk, format: format) } == .missing)
  }

  @Test("a map with two bad headers or cut short is damaged; with one bad header it is what the other says")
  func damaged() throws {
    let format = Fixture.format(pages: 300)
    let disk = CuttableDisk()
    let map = try Fixture.build("map", ModelMap(format), in: disk, number: 1)
    try map.relabel(at: Fixture.point(2), pass: Fixture.pass(2))
    let file = try disk.openFile("map", .readWrite)
    // Working was written to slot 0, point 1 to slot 1, point 2 to slot 0.
    try writeBytes([0xFF], to: file, at: 100)
    #expect(
      try DigestMap.open("map", in: disk, format: format).state
        == .at(Fixture.point(1), pass: Fixture.pass(1)))
    try writeBytes([0xFF], to: file, at: 4096 + 100)
    #expect(code { _ = try DigestMap.open("map", in: disk, format: format) } == .damaged)
    _ = try Fixture.build("map", ModelMap(format), in: disk)
    let size = try file.currentSizeBytes()
    try disk.openFile("map", .readWrite).truncate(to: size - 1)
    #expect(code { _ = try DigestMap.open("map", in: disk, format: format) } == .damaged)
    for length: Int64 in [0, 511, 512, 5000] {
      try disk.openFile("map", .readWrite).truncate(to: length)
      let found = code { _ = try DigestMap.open("map", in: disk, format: format).root() }
      #expect(found == .damaged || found == .wrongState, "\(length) bytes: \(String(describing: found))")
    }
  }

  @Test("verify finds one changed byte in any leaf or node")
  func verify() throws {
    var random = SplitMix(seed: 21)
    let model = ModelMap.random(Fixture.format(pages: 65_537), density: 2, &random)
    let disk = CuttableDisk()
    let map = try Fixture.build("map", model, in: disk)
    let file = try disk.openFile("map", .readWrite)
    let size = try file.currentSizeBytes()
    for _ in 0..<30 {
      let offset = Int64.random(in: 8192..<size, using: &random)
      let region = map.content.layout
      guard offset < region.leafOffset(257) || offset >= region.nodesOffset, !isPadding(offset, region) else {
        continue
      }
      let before = disk.contents.withLock { $0.inodes[$0.entries["map"]!]!.bytes[Int(offset)] }
      try writeBytes([before ^ 1], to: file, at: offset)
      #expect(code { try map.verify() } == .damaged, "byte \(offset)")
      try writeBytes([before], to: file, at: offset)
    }
    try map.verify()
  }

  private func isPadding(_ offset: Int64, _ layout: DigestFileLayout) -> Bool {
    !(1...layout.shape.levelCount).contains { level in
      (layout.nodeOffset(
        level: level, 0)..<layout.nodeOffset(level: level, layout.shape.nodeCount(level: level)))
        .contains(offset)
    } && offset >= layout.nodesOffset
  }

  @Test("the wrong call at the wrong time is refused: writing a finished map, asking a working one")
  func wrongState() throws {
    let model = ModelMap(Fixture.format(pages: 300))
    let disk = CuttableDisk()
    let map = try Fixture.build("map", model, in: disk)
    #expect(code { try Fixture.write(model.leaf(0), 0, map.writeLeaf) } == .wrongState)
    #expect(code { _ = try map.finish(at: Fixture.point(2), pass: Fixture.pass(2)) } == .wrongState)
    let working = try DigestMap.create("map", in: disk, format: model.format)
    #expect(code { _ = try working.root() } == .wrongState)
    #expect(code { _ = try working.nodes(level: 1, first: 0, count: 1) } == .wrongState)
    #expect(code { try working.relabel(at: Fixture.point(2), pass: Fixture.pass(2)) } == .wrongState)
    #expect(code { _ = try DigestDelta.create("delta", in: disk, over: working) } == .wrongState)
  }

  @Test("leaves and nodes outside the disk, and digests of pages that do not exist, are refused")
  func outOfRange() throws {
    let format = Fixture.format(pages: 300)
    let disk = CuttableDisk()
    let map = try DigestMap.create("map", in: disk, format: format)
    let some = [PageDigest](repeating: PageDigest(low: 1, high: 1), count: 256)
    for leaf: Int64 in [-1, 2, .max, .min] {
      #expect(code { try Fixture.write(some, leaf, map.writeLeaf) } == .outOfRange)
      #expect(code { _ = try read(map, leaf) } == .outOfRange)
    }
    #expect(code { try Fixture.write(some, 1, map.writeLeaf) } == .outOfRange)
    #expect(code { try Fixture.write(Array(some[..<43]), 1, map.writeLeaf) } == .outOfRange)
    try Fixture.write(Array(some[..<44]), 1, map.writeLeaf)
    #expect(try read(map, 1) == some[..<44] + [PageDigest](repeating: .zero, count: 212))
    _ = try map.finish(at: Fixture.point(1), pass: Fixture.pass(1))
    #expect(code { _ = try map.nodes(level: 3, first: 0, count: 1) } == .outOfRange)
    #expect(code { _ = try map.nodes(level: 1, first: .max, count: 256) } == .outOfRange)
  }

  private func read(_ view: any DigestView, _ leaf: Int64) throws -> [PageDigest] {
    var digests = [PageDigest](repeating: .zero, count: 256)
    try digests.withUnsafeMutableBufferPointer { try view.readLeaf(leaf, into: $0) }
    return digests
  }

  @Test(
    "on a real file system the map of a large sparse disk takes space only for what is in use"
  )
  func sparse() throws {
    try Fixture.withDirectory { directory in
      let format = Fixture.format(pages: 70_000 * 256)
      let map = try DigestMap.create("map", in: directory, format: format)
      let leaf = [PageDigest](repeating: PageDigest(low: 5, high: 6), count: 256)
      let zero = [PageDigest](repeating: .zero, count: 256)
      for index: Int64 in [0, 300, 65_535, 65_536, 69_999] { try Fixture.write(leaf, index, map.writeLeaf) }
      for index: Int64 in [1, 300, 40_000] { try Fixture.write(zero, index, map.writeLeaf) }
      let root = try map.finish(at: Fixture.point(1), pass: Fixture.pass(1))
      try map.verify()
      let status = try directory.openPosixFile("map", .read).status()
      #expect(status.sizeBytes > 270 << 20)
      #expect(status.allocatedBytes < 1 << 20)
      var found: [Int64] = []
      var position: Int64 = 0
      while let next = try map.leafWithContent(atOrAfter: position), found.count < 1000 {
        found.append(next)
        position = next + 1
      }
      #expect(Set(found).isSuperset(of: [0, 65_535, 65_536, 69_999]) && found.count < 600)

      // The same content by way of a delta has the same root.
      let empty = try Fixture.build("empty", ModelMap(Fixture.format(pages: 1)), in: directory)
      #expect(try empty.root() != root)
      let base = try DigestMap.create("base", in: directory, format: format)
      _ = try base.finish(at: Fixture.point(1), pass: Fixture.pass(1))
      let delta = try DigestDelta.create("delta", in: directory, over: base)
      for index: Int64 in [69_999, 65_536, 0, 65_535] { try Fixture.write(leaf, index, delta.writeLeaf) }
      #expect(try delta.root() == root)
      try delta.seal(pass: Fixture.pass(2), root: root)
      #expect(try directory.openPosixFile("delta", .read).status().allocatedBytes < 1 << 20)
      try delta.merge(as: Fixture.point(2))
      try base.verify()
      #expect(try base.root() == root)
    }
  }
}
