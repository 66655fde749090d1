import ReplIO
import ReplModel
import Testing

@testable import ReplDigest

/// Maps of disks that grew.
@Suite struct WidenTests {
  private func grid(_ sizeBytes: Int64, pageSize: Int = 4096) -> PageGrid {
    PageGrid(sizeBytes: sizeBytes, pageSizeBytes: pageSize)!
  }

  /// The model of the same content on a larger disk.
  private func wider(_ model: ModelMap, _ grid: PageGrid) -> ModelMap {
    var wide = ModelMap(
      DigestMapFormat(disk: model.format.disk, grid: grid, keyID: model.format.keyID))
    wide.digests.replaceSubrange(0..<model.digests.count, with: model.digests)
    return wide
  }

  @Test("a widened map is the one that is built from scratch on the larger disk, whatever the sizes")
  func sameAsBuilt() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SplitMix(seed: seed)
    // Pages before and after: within a leaf, at its edge, past it, and past the edges of tree levels.
    let sizes: [(Int64, Int64)] = [
      (1, 2), (255, 256), (256, 257), (3, 600), (256, 65_536), (65_536, 65_537), (300, 65_537),
      (1000, 70_000),
    ]
    for (before, after) in sizes {
      let old = ModelMap.random(Fixture.format(pages: before, lastPageBytes: 512), density: 60, &random)
      let wide = wider(old, grid((after - 1) * 4096 + Int64.random(in: 1...4096, using: &random)))
      let disk = CuttableDisk()
      let map = try Fixture.build("map", old, in: disk)
      let widened = try map.widened(to: wide.format.grid, as: "wide", in: disk)
      let name: Comment = "seed \(seed), \(before) to \(after) pages"
      #expect(try ModelMap(reading: widened) == wide, name)
      #expect(try widened.root() == wide.root(), name)
      #expect(try widened.root() != old.root(), name)
      #expect(widened.state == map.state, name)
      try widened.verify()
      // The old map is untouched, and both are there for the next start.
      #expect(try DigestMap.open("map", in: disk, format: old.format).root() == old.root(), name)
      #expect(try DigestMap.open("wide", in: disk, format: wide.format).root() == wide.root(), name)
    }
  }

  @Test("growth inside the last page changes the root and no digest")
  func insideLastPage() throws {
    var random = SplitMix(seed: 4)
    let old = ModelMap.random(Fixture.format(pages: 9, lastPageBytes: 512), density: 100, &random)
    let disk = CuttableDisk()
    let wide = try Fixture.build("map", old, in: disk)
      .widened(to: grid(old.format.grid.sizeBytes + 1024), as: "wide", in: disk)
    #expect(try ModelMap(reading: wide).digests == old.digests)
    #expect(try wide.root() != old.root())
  }

  @Test("a short last page has the digest that it has with zeros behind it")
  func shortPage() throws {
    let digester = try PageDigester(key: try DigestKey.generate())
    for pageSize in PageGrid.allowedPageSizes {
      for length in [1, 512, 1536, pageSize - 1] {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
        let padded = bytes + [UInt8](repeating: 0, count: pageSize - length)
        let digests = try [bytes, padded].map { content in
          var digest = [PageDigest.zero]
          try content.withUnsafeBytes { content in
            try digest.withUnsafeMutableBufferPointer {
              try digester.digest(pages: content, pageSizeBytes: pageSize, into: $0)
            }
          }
          return digest[0]
        }
        #expect(digests[0] == digests[1] && !digests[0].isZero, "\(length) of \(pageSize)")
      }
    }
  }

  @Test("the map of a sparse disk stays sparse when it is widened to the largest size")
  func sparse() throws {
    try Fixture.withDirectory { directory in
      var random = SplitMix(seed: 5)
      let old = ModelMap.random(Fixture.format(pages: 300), density: 100, &random)
      let map = try Fixture.build("map", old, in: directory)
      let wide = try map.widened(to: grid(PageGrid.maximumSizeBytes), as: "wide", in: directory)
      #expect(try wide.leafWithContent(atOrAfter: 2) == nil)
      #expect(try directory.openFile("wide", .read).allocatedRange(atOrAfter: 1 << 30) != nil)
      try wide.verify()
    }
  }

  @Test("a map is widened to a larger disk in the same pages, when it is at a point; else it is refused")
  func refusals() throws {
    let format = Fixture.format(pages: 10)
    let disk = CuttableDisk()
    let map = try Fixture.build("map", ModelMap(format), in: disk)
    func code(_ body: () throws(DigestError) -> Void) -> DigestError.Code? {
      do throws(DigestError) { try body() } catch { return error.code }
      return nil
    }
    for grid in [
      format.grid, grid(format.grid.sizeBytes - 1), grid(format.grid.sizeBytes * 2, pageSize: 8192),
    ] {
      #expect(
        code { () throws(DigestError) in _ = try map.widened(to: grid, as: "wide", in: disk) } == .outOfRange)
    }
    let working = try DigestMap.create("working", in: disk, format: format)
    let larger = grid(format.grid.sizeBytes + 1)
    #expect(
      code { () throws(DigestError) in _ = try working.widened(to: larger, as: "wide", in: disk) }
        == .wrongState)
    #expect(try !disk.contains("wide"))
  }

  @Test("what a map is a map of is told without knowing it; a damaged or missing one is of nothing")
  func formatOfFile() throws {
    let format = Fixture.format(pages: 10)
    let disk = CuttableDisk()
    #expect(try DigestMap.format(of: "map", in: disk) == nil)
    _ = try Fixture.build("map", ModelMap(format), in: disk)
    #expect(try DigestMap.format(of: "map", in: disk) == format)
    try disk.replaceFile("map", with: [UInt8](repeating: 7, count: 9000))
    #expect(try DigestMap.format(of: "map", in: disk) == nil)
  }

  @Test(
    "a widening that is cut off at any operation leaves the old map, and a new one that is whole or working")
  func sweep() throws {
    var random = SplitMix(seed: 6)
    let old = ModelMap.random(Fixture.format(pages: 600), density: 80, &random)
    let wide = wider(old, grid(70_000 * 4096))
    let start = CuttableDisk()
    _ = try Fixture.build("map", old, in: start)
    start.restart(&random)
    var outcomes: Set<String> = []
    for operation in 1...1000 {
      let disk = CuttableDisk(start.copy())
      disk.cut(atOperation: operation)
      // Cut off somewhere.
      _ = try? DigestMap.open("map", in: disk, format: old.format)
        .widened(to: wide.format.grid, as: "wide", in: disk)
      let finished = !disk.wasCut
      disk.restart(&random)
      let name: Comment = "operation \(operation)"
      let map = try DigestMap.open("map", in: disk, format: old.format)
      #expect(try ModelMap(reading: map) == old && map.root() == old.root(), name)
      if try disk.contains("wide") {
        let found = try DigestMap.open("wide", in: disk, format: wide.format)
        if found.state == .working {
          outcomes.insert("working")
          #expect(!finished, name)
        } else {
          outcomes.insert("whole")
          #expect(found.state == map.state, name)
          #expect(try ModelMap(reading: found) == wide && found.root() == wide.root(), name)
        }
      } else {
        outcomes.insert("none")
        #expect(!finished, name)
      }
      // Done again, it is right.
      let again = try map.widened(to: wide.format.grid, as: "wide", in: disk)
      #expect(try again.root() == wide.root(), name)
      if finished { break }
    }
    #expect(outcomes == ["none", "working", "whole"])
  }
}
