import ReplIO
import ReplModel
import Testing

@testable import ReplDigest

/// Each test cuts the power at the n-th operation, for n = 1, 2, 3... until a run passes untouched, with
/// several choices of what survives; recovery is cut as well.
@Suite struct CrashSafetyTests {
  private let seeds = 6

  /// Calls `run` on a copy of `start` with a cut at each operation, then `check` after power is back.
  private func sweep(
    _ start: CuttableDisk.Contents, _ run: (CuttableDisk) throws -> Void,
    _ check: (CuttableDisk, _ finished: Bool, inout SplitMix, _ name: Comment) throws -> Void
  ) throws -> Int {
    let seed = UInt64.random(in: 0..<1_000_000)
    for number in 1...10_000 {
      var finished = false
      for round in 0..<seeds {
        var random = SplitMix(seed: seed &+ UInt64(number * 100 + round))
        let disk = CuttableDisk(start)
        disk.cut(atOperation: number)
        do {
          try run(disk)
          finished = true
        } catch {
          guard disk.wasCut else { throw error }
        }
        finished = finished && !disk.wasCut
        disk.restart(&random)
        try check(disk, finished, &random, "seed \(seed) operation \(number) round \(round)")
      }
      if finished { return number - 1 }
    }
    Issue.record("no run passed untouched")
    return 0
  }

  private func prepared(_ model: ModelMap) throws -> CuttableDisk.Contents {
    let disk = CuttableDisk()
    _ = try Fixture.build("map", model, in: disk, number: 1)
    var random = SplitMix(seed: 1)
    disk.restart(&random)
    return disk.copy()
  }

  private func pair(_ pages: Int64, seed: UInt64, leaves: [Int64]) -> (ModelMap, ModelMap) {
    var random = SplitMix(seed: seed)
    let old = ModelMap.random(Fixture.format(pages: pages), density: 50, &random)
    var new = old
    for leaf in leaves { new.change(leaf, &random) }
    for page in old.format.grid.pages(ofLeaf: leaves.last!) { new.digests[Int(page)] = .zero }
    return (old, new)
  }

  /// What a start does: a map at its point, after a merge that was due.
  private func recover(_ disk: CuttableDisk, _ format: DigestMapFormat) throws -> DigestMap {
    let map = try DigestMap.open("map", in: disk, format: format)
    if let delta = try DigestDelta.openSealed("delta", in: disk, over: map) {
      #expect(delta.sealedPass == Fixture.pass(2))
      try delta.merge(as: Fixture.point(2))
    }
    return map
  }

  @Test(
    "a pass cut off at any operation of writing, sealing or merging leaves the old or the new map",
    arguments: [(600, [0, 2, 1]), (65_537, [0, 1, 2, 70, 255, 256, 9])] as [(Int64, [Int64])])
  func mergeSweep(pages: Int64, leaves: [Int64]) throws {
    let (old, new) = pair(pages, seed: UInt64(pages), leaves: leaves)
    let (oldRoot, newRoot) = (old.root(), new.root())
    var outcomes: Set<UInt64> = []
    var merging = 0
    let operations = try sweep(prepared(old)) { disk in
      let map = try DigestMap.open("map", in: disk, format: old.format)
      let delta = try Fixture.delta("delta", from: old, to: new, over: map, in: disk)
      try delta.seal(pass: Fixture.pass(2), root: newRoot)
      try delta.merge(as: Fixture.point(2))
    } _: { disk, finished, random, name in
      // Whatever becomes of the delta: a map that says it is at a point is that point's map.
      let cut = try DigestMap.open("map", in: disk, format: old.format)
      switch cut.state {
      case .at(let reference, _):
        try cut.verify()
        #expect(try ModelMap(reading: cut) == (reference == Fixture.point(2) ? new : old), name)
      case .merging(let reference, let pass):
        merging += 1
        #expect(reference == Fixture.point(2) && pass == Fixture.pass(2) && !finished, name)
      case .working: Issue.record("working", sourceLocation: #_sourceLocation)
      }
      // Recovery is cut too, each time a little later, until it passes.
      var later = Int.random(in: 1...12, using: &random)
      while true {
        disk.cut(atOperation: later)
        if (try? recover(disk, old.format)) != nil, !disk.wasCut { break }
        #expect(disk.wasCut, name)
        guard disk.wasCut else { return }
        disk.restart(&random)
        later += Int.random(in: 1...12, using: &random)
      }
      let map = try DigestMap.open("map", in: disk, format: old.format)
      try map.verify()
      guard case .at(let reference, let pass) = map.state else {
        Issue.record("state \(map.state)", sourceLocation: #_sourceLocation)
        return
      }
      outcomes.insert(reference.number)
      let isNew = reference == Fixture.point(2)
      #expect(isNew || reference == Fixture.point(1), name)
      #expect(pass == Fixture.pass(reference.number), name)
      #expect(isNew || !finished, name)
      #expect(try map.root() == (isNew ? newRoot : oldRoot), name)
      #expect(try ModelMap(reading: map) == (isNew ? new : old), name)
      #expect(try DigestDelta.openSealed("delta", in: disk, over: map) == nil, name)
    }
    #expect(operations > 20)
    #expect(outcomes == [1, 2] && merging > 0)
  }

  @Test(
    "a merge cut off at any operation and done again with new merges cut off as well arrives at the new root")
  func mergeAgainAndAgain() throws {
    let (old, new) = pair(1000, seed: 8, leaves: [0, 1, 3, 2])
    let disk = CuttableDisk(try prepared(old))
    let map = try DigestMap.open("map", in: disk, format: old.format)
    let delta = try Fixture.delta("delta", from: old, to: new, over: map, in: disk)
    try delta.seal(pass: Fixture.pass(2), root: new.root())
    var random = SplitMix(seed: 9)
    disk.restart(&random)
    let start = disk.copy()
    let operations = try sweep(start) {
      _ = try recover($0, old.format)
    } _: { disk, _, random, name in
      // Sealed and restarted: from here on the outcome can only be the new map.
      for _ in 0..<5 {
        disk.cut(atOperation: Int.random(in: 1...8, using: &random))
        _ = try? recover(disk, old.format)  // It fails when it was cut; the last one below does not.
        disk.restart(&random)
      }
      let map = try recover(disk, old.format)
      #expect(map.state == .at(Fixture.point(2), pass: Fixture.pass(2)), name)
      #expect(try map.root() == new.root(), name)
      #expect(try ModelMap(reading: map) == new, name)
      try map.verify()
    }
    #expect(operations >= 7)
  }

  @Test("building a map anew, cut off at any operation, leaves the old map, one being built, or the new one")
  func buildSweep() throws {
    let (old, new) = pair(600, seed: 15, leaves: [0, 1, 2])
    var outcomes: Set<String> = []
    _ = try sweep(prepared(old)) { disk in
      _ = try Fixture.build("map", new, in: disk, number: 2)
    } _: { disk, finished, _, name in
      let map = try DigestMap.open("map", in: disk, format: old.format)
      switch map.state {
      case .working:
        outcomes.insert("working")
        #expect(!finished, name)
      case .at(let reference, _):
        outcomes.insert("\(reference)")
        let expected = reference == Fixture.point(2) ? new : old
        #expect(finished == (reference == Fixture.point(2)) || !finished, name)
        #expect(try ModelMap(reading: map) == expected, name)
        #expect(try map.root() == expected.root(), name)
        try map.verify()
      case .merging: Issue.record("merging", sourceLocation: #_sourceLocation)
      }
    }
    #expect(outcomes == ["working", "1.1", "1.2"])
  }

  @Test("a first map, cut off at any operation, is missing, being built, or whole")
  func firstBuildSweep() throws {
    let (_, new) = pair(600, seed: 16, leaves: [0, 1, 2])
    _ = try sweep(CuttableDisk.Contents()) { disk in
      _ = try Fixture.build("map", new, in: disk, number: 2)
    } _: { disk, finished, _, name in
      let found = code {
        let map = try DigestMap.open("map", in: disk, format: new.format)
        guard map.state != .working else { return }
        #expect(try map.root() == new.root(), name)
        try map.verify()
      }
      #expect(found == nil || (found == .missing && !finished), name)
    }
  }

  @Test("leaves of a working map that were synced are there after a cut, and the build goes on from them")
  func resumedBuild() throws {
    let (_, new) = pair(1000, seed: 17, leaves: [0, 1, 2])
    for seed in 0..<20 {
      var random = SplitMix(seed: UInt64(seed))
      let disk = CuttableDisk()
      let map = try DigestMap.create("map", in: disk, format: new.format)
      for leaf: Int64 in 0..<2 { try Fixture.write(new.leaf(leaf), leaf, map.writeLeaf) }
      try map.sync()
      for leaf: Int64 in 2..<4 { try Fixture.write(new.leaf(leaf), leaf, map.writeLeaf) }
      disk.cut(atOperation: Int.random(in: 1...6, using: &random))
      _ = try? map.finish(at: Fixture.point(1), pass: Fixture.pass(1))  // Cut off.
      disk.restart(&random)
      let again = try DigestMap.open("map", in: disk, format: new.format)
      if again.state == .working {
        for leaf: Int64 in 2..<4 { try Fixture.write(new.leaf(leaf), leaf, again.writeLeaf) }
        _ = try again.finish(at: Fixture.point(1), pass: Fixture.pass(1))
      }
      #expect(try ModelMap(reading: again) == new, "seed \(seed)")
      #expect(try again.root() == new.root(), "seed \(seed)")
      try again.verify()
    }
  }

  @Test("a relabelled map has the old or the new label, and the same root, whenever it is cut off")
  func relabelSweep() throws {
    let (old, _) = pair(300, seed: 18, leaves: [0])
    _ = try sweep(prepared(old)) { disk in
      let map = try DigestMap.open("map", in: disk, format: old.format)
      try map.relabel(at: Fixture.point(5), pass: Fixture.pass(5))
    } _: { disk, finished, _, name in
      let map = try DigestMap.open("map", in: disk, format: old.format)
      let (before, after) = (Fixture.point(1), Fixture.point(5))
      let isNew = map.state == .at(after, pass: Fixture.pass(5))
      #expect(isNew || (!finished && map.state == .at(before, pass: Fixture.pass(1))), name)
      #expect(try map.root() == old.root(), name)
      try map.verify()
    }
  }

  @Test("a key file being replaced is the old or the new key, whenever it is cut off")
  func keySweep() throws {
    let (first, second) = (try DigestKey.generate(), try DigestKey.generate())
    let disk = CuttableDisk()
    try DigestKeyFile.save(first, as: "key", in: disk)
    _ = try sweep(disk.copy()) {
      try DigestKeyFile.save(second, as: "key", in: $0)
    } _: { disk, finished, _, name in
      let found = try DigestKeyFile.load("key", in: disk)
      #expect(found == second || (found == first && !finished), name)
    }
  }
}
