import Glibc
import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplDigest

@Suite struct DigestDeltaTests {
  @Test("the root of random overlays is that of a full computation, at every step", arguments: gridSizes)
  func incrementalRoot(pages: Int64) throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SplitMix(seed: seed)
    let disk = CuttableDisk()
    var model = ModelMap.random(Fixture.format(pages: pages), density: 40, &random)
    let base = try Fixture.build("map", model, in: disk)
    let delta = try DigestDelta.create("delta", in: disk, over: base)
    #expect(try delta.root() == model.root())
    var changed: Set<Int64> = []
    for step in 0..<8 {
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let leaf = Int64.random(in: 0..<model.format.grid.leafCount, using: &random)
        model.change(leaf, &random)
        changed.insert(leaf)
        try Fixture.write(model.leaf(leaf), leaf, delta.writeLeaf)
      }
      #expect(try delta.root() == model.root(), "seed \(seed) step \(step)")
    }
    #expect(try ModelMap(reading: delta) == model, "seed \(seed)")
    #expect(Fixture.heldLeaves(of: delta) == changed.sorted())
    for (index, expected) in model.levels().enumerated() {
      let first = max(0, expected.count - 256)
      let found = try delta.nodes(level: index + 1, first: Int64(first), count: expected.count - first)
      #expect(found == Array(expected[first...]), "seed \(seed) level \(index + 1)")
    }
  }

  @Test("pages set one by one or in long ranges give the map that they describe")
  func setPages() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SplitMix(seed: seed)
    let disk = CuttableDisk()
    var model = ModelMap.random(Fixture.format(pages: 2000), density: 50, &random)
    let base = try Fixture.build("map", model, in: disk)
    let delta = try DigestDelta.create("delta", in: disk, over: base)
    for _ in 0..<30 {
      let first = Int.random(in: 0..<2000, using: &random)
      let count = min(2000 - first, [0, 1, 255, 256, 257, 700].randomElement(using: &random)!)
      let digests = (0..<count).map { _ in random.coin() ? PageDigest(low: random.next(), high: 1) : .zero }
      model.digests.replaceSubrange(first..<(first + count), with: digests)
      try Fixture.write(digests, Int64(first), delta.setPages)
    }
    #expect(try ModelMap(reading: delta) == model, "seed \(seed)")
    #expect(try delta.root() == model.root(), "seed \(seed)")
    let two = [PageDigest](repeating: .zero, count: 2)
    for first: Int64 in [-1, 1999, 2000, .max, .min] {
      #expect(code { try Fixture.write(two, first, delta.setPages) } == .outOfRange, "\(first)")
    }
  }

  @Test("leaves may be written and read by several threads at once")
  func threads() throws {
    var random = SplitMix(seed: 31)
    let disk = CuttableDisk()
    let old = ModelMap.random(Fixture.format(pages: 40_000), density: 50, &random)
    var changing = old
    for leaf in 0..<old.format.grid.leafCount where random.coin() { changing.change(leaf, &random) }
    let new = changing
    let base = try Fixture.build("map", old, in: disk)
    let delta = try DigestDelta.create("delta", in: disk, over: base)
    let failures = Mutex<[String]>([])
    let cursor = Atomic<Int64>(0)
    let threads = (0..<4).map { number in
      NamedThread.start("leaf-\(number)") {
        do {
          var seen = [PageDigest](repeating: .zero, count: 256)
          while true {
            let leaf = cursor.wrappingAdd(1, ordering: .relaxed).oldValue
            guard leaf < old.format.grid.leafCount else { return }
            try seen.withUnsafeMutableBufferPointer { try delta.readLeaf(leaf, into: $0) }
            if seen != old.leaf(leaf) { failures.withLock { $0.append("leaf \(leaf) was not the old one") } }
            if new.leaf(leaf) != old.leaf(leaf) { try Fixture.write(new.leaf(leaf), leaf, delta.writeLeaf) }
            try seen.withUnsafeMutableBufferPointer { try delta.readLeaf(leaf, into: $0) }
            if seen != new.leaf(leaf) { failures.withLock { $0.append("leaf \(leaf) was not the new one") } }
          }
        } catch { failures.withLock { $0.append("\(error)") } }
      }
    }
    for thread in threads { thread.join() }
    #expect(failures.withLock { $0 } == [])
    #expect(try delta.root() == new.root())
  }

  @Test("a sealed delta opens again, and merging makes the base its map")
  func sealAndMerge() throws {
    for pages in gridSizes {
      var random = SplitMix(seed: UInt64(pages) + 77)
      let disk = CuttableDisk()
      let old = ModelMap.random(Fixture.format(pages: pages), density: 40, &random)
      var new = old
      for leaf in 0..<old.format.grid.leafCount where leaf % 7 == 0 { new.change(leaf, &random) }
      let base = try Fixture.build("map", old, in: disk)
      let made = try Fixture.delta("delta", from: old, to: new, over: base, in: disk)
      #expect(made.sealedPass == nil)
      try made.seal(pass: Fixture.pass(2), root: new.root())
      #expect(made.sealedPass == Fixture.pass(2))
      let delta = try #require(try DigestDelta.openSealed("delta", in: disk, over: base))
      #expect(try delta.root() == new.root() && delta.sealedPass == Fixture.pass(2))
      #expect(try ModelMap(reading: delta) == new)
      try delta.merge(as: Fixture.point(2))
      #expect(base.state == .at(Fixture.point(2), pass: Fixture.pass(2)))
      #expect(try ModelMap(reading: base) == new)
      #expect(try base.root() == new.root())
      try base.verify()
      #expect(try disk.entryNames() == ["map"])
    }
  }

  @Test("a delta without changes is sealed and merged like any other")
  func noChange() throws {
    let disk = CuttableDisk()
    let base = try Fixture.build("map", ModelMap(Fixture.format(pages: 300)), in: disk)
    let root = try base.root()
    let delta = try DigestDelta.create("delta", in: disk, over: base)
    try delta.seal(pass: Fixture.pass(2), root: root)
    let again = try #require(try DigestDelta.openSealed("delta", in: disk, over: base))
    try again.merge(as: Fixture.point(2))
    #expect(base.state == .at(Fixture.point(2), pass: Fixture.pass(2)))
    #expect(try base.root() == root)
  }

  @Test("sealing with another root than the delta has is refused")
  func wrongRoot() throws {
    let disk = CuttableDisk()
    let base = try Fixture.build("map", ModelMap(Fixture.format(pages: 300)), in: disk)
    let delta = try DigestDelta.create("delta", in: disk, over: base)
    #expect(code { try delta.seal(pass: Fixture.pass(2), root: .zero) } == .rootMismatch)
    #expect(delta.sealedPass == nil)
  }

  @Test("an unsealed, merged or stale delta is removed when it is looked for")
  func notFitting() throws {
    let disk = CuttableDisk()
    var random = SplitMix(seed: 41)
    let old = ModelMap.random(Fixture.format(pages: 600), density: 90, &random)
    var new = old
    new.change(1, &random)
    let base = try Fixture.build("map", old, in: disk)
    #expect(try DigestDelta.openSealed("delta", in: disk, over: base) == nil)
    _ = try DigestDelta.create("delta", in: disk, over: base)
    #expect(try DigestDelta.openSealed("delta", in: disk, over: base) == nil)
    #expect(try disk.entryNames() == ["map"])

    let sealed = try Fixture.delta("delta", from: old, to: new, over: base, in: disk)
    try sealed.seal(pass: Fixture.pass(2), root: new.root())
    let bytes = try disk.readFile("delta", limitBytes: 1 << 24)
    try sealed.merge(as: Fixture.point(2))
    // The removal was not synced and the delta comes back.
    try disk.replaceFile("delta", with: bytes)
    #expect(try DigestDelta.openSealed("delta", in: disk, over: base) == nil)
    #expect(try disk.entryNames() == ["map"])
    // The same delta over a map with other content.
    try disk.replaceFile("delta", with: bytes)
    let other = try Fixture.build("map", ModelMap(old.format), in: disk)
    #expect(try DigestDelta.openSealed("delta", in: disk, over: other) == nil)
    try disk.replaceFile("delta", with: bytes)
    let working = try DigestMap.create("map", in: disk, format: old.format)
    #expect(try DigestDelta.openSealed("delta", in: disk, over: working) == nil)
    try disk.replaceFile("delta", with: [1, 2, 3])
    #expect(try DigestDelta.openSealed("delta", in: disk, over: other) == nil)
  }

  @Test("a sealed delta with any changed byte in leaves, nodes or bitmap is damaged")
  func damaged() throws {
    let disk = CuttableDisk()
    var random = SplitMix(seed: 43)
    let old = ModelMap.random(Fixture.format(pages: 65_537), density: 20, &random)
    var new = old
    for page in [0, 3 * 256, 4 * 256 + 1, 65_536] { new.digests[page] = PageDigest(low: 1, high: 1) }
    let base = try Fixture.build("map", old, in: disk)
    let delta = try Fixture.delta("delta", from: old, to: new, over: base, in: disk)
    try delta.seal(pass: Fixture.pass(2), root: new.root())
    let layout = base.content.layout
    let offsets = [
      layout.leafOffset(0), layout.leafOffset(4) + 4095, layout.leafOffset(256) + 15,
      layout.nodeOffset(level: 1, 3), layout.nodeOffset(level: 2, 1) + 31, layout.nodeOffset(level: 3, 0),
      layout.mapBytes, layout.mapBytes + 33,
    ]
    let file = try disk.openFile("delta", .readWrite)
    for offset in offsets {
      let before = disk.contents.withLock { $0.inodes[$0.entries["delta"]!]!.bytes[Int(offset)] }
      try writeBytes([before ^ 0x20], to: file, at: offset)
      #expect(
        code { _ = try DigestDelta.openSealed("delta", in: disk, over: base) } == .damaged, "byte \(offset)")
      try writeBytes([before], to: file, at: offset)
    }
    #expect(try DigestDelta.openSealed("delta", in: disk, over: base) != nil)
    try file.truncate(to: layout.deltaBytes - 1)
    #expect(code { _ = try DigestDelta.openSealed("delta", in: disk, over: base) } == .damaged)
  }

  @Test("a delta is refused after it was sealed, merged or discarded, and over a base that moved on")
  func wrongState() throws {
    let disk = CuttableDisk()
    var random = SplitMix(seed: 47)
    let old = ModelMap.random(Fixture.format(pages: 300), density: 90, &random)
    var new = old
    new.change(0, &random)
    let base = try Fixture.build("map", old, in: disk)
    let first = try Fixture.delta("first", from: old, to: new, over: base, in: disk)
    let second = try DigestDelta.create("second", in: disk, over: base)
    #expect(code { try first.merge(as: Fixture.point(2)) } == .wrongState)
    try first.seal(pass: Fixture.pass(2), root: new.root())
    try second.seal(pass: Fixture.pass(3), root: old.root())
    #expect(code { try Fixture.write(new.leaf(0), 0, first.writeLeaf) } == .wrongState)
    #expect(code { try first.seal(pass: Fixture.pass(2), root: new.root()) } == .wrongState)
    try first.merge(as: Fixture.point(2))
    #expect(code { try first.merge(as: Fixture.point(2)) } == .wrongState)
    #expect(code { _ = try first.root() } == .wrongState)
    try first.discard()
    #expect(code { try second.merge(as: Fixture.point(3)) } == .foreign)
    #expect(base.state == .at(Fixture.point(2), pass: Fixture.pass(2)))
    try second.discard()
    try second.discard()
    #expect(try disk.entryNames() == ["map"])
  }
}

@Suite struct LeafBitmapTests {
  @Test("runs, parents and counts are those of the set of indexes")
  func model() throws {
    var random = SplitMix(seed: 3)
    for count: Int64 in [1, 63, 64, 65, 256, 257, 1000] {
      var bitmap = LeafBitmap(bitCount: count)
      var set: Set<Int64> = []
      for _ in 0..<Int(count / 2 + 1) {
        let index = Int64.random(in: 0..<count, using: &random)
        bitmap.insert(index)
        set.insert(index)
      }
      var found: [Int64] = []
      var position: Int64 = 0
      while let run = bitmap.nextRun(atOrAfter: position, limit: 10) {
        #expect(run.count <= 10)
        found += Array(run)
        position = run.upperBound
      }
      #expect(found == set.sorted() && bitmap.setCount == Int64(set.count))
      let parents = bitmap.parents()
      #expect((0..<parents.bitCount).filter(parents.contains) == Set(set.map { $0 / 256 }).sorted())
      #expect(LeafBitmap(bitCount: count, words: bitmap.words) == bitmap)
      if count % 64 != 0 {
        let over = bitmap.words.dropLast() + [bitmap.words.last! | 1 << UInt64(count % 64)]
        #expect(LeafBitmap(bitCount: count, words: Array(over)) == nil)
      }
    }
  }
}
