import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass

/// Versions of a VM whose disks grow.
enum GrowingDisks {
  private static func filled(_ image: [UInt8], _ pages: [Int], seed: UInt64) -> [UInt8] {
    var image = image
    for page in pages {
      let end = min((page + 1) * 4096, image.count)
      let bytes = PageMaker.random(byteCount: 4096, seed: seed + UInt64(page))
      image.replaceSubrange((page * 4096)..<end, with: bytes[0..<(end - page * 4096)])
    }
    return image
  }

  private static func grown(_ image: [UInt8], to size: Int) -> [UInt8] {
    image + [UInt8](repeating: 0, count: size - image.count)
  }

  /// The first disk grows over the end of a leaf of its map, then inside its last page.
  static let versions: [[[UInt8]]] = {
    let first = filled([UInt8](repeating: 0, count: (300 << 10) + 1536), [0, 1, 5, 40, 75], seed: 1)
    let second = filled([UInt8](repeating: 0, count: 64 << 10), [0, 1, 2, 3], seed: 100)
    let larger = filled(grown(first, to: (1200 << 10) + 512), [1, 75, 76, 255, 256, 300], seed: 200)
    let largest = filled(grown(larger, to: (1200 << 10) + 2048), [2, 300], seed: 300)
    return [
      [first, second], [larger, grown(second, to: 80 << 10)],
      [largest, filled(grown(second, to: 80 << 10), [19], seed: 400)],
    ]
  }()
}

/// Disks grow while the sender's power is cut.
@Suite(.serialized) struct PairGrowSweepTests {
  @Test(
    "power is cut at the sender at every operation while disks grow: the next passes are right"
  )
  func senderCuts() throws {
    let quiet = try Pair()
    let before = quiet.sender.operationCount
    for images in GrowingDisks.versions { _ = try quiet.pass(images) }
    let total = quiet.sender.operationCount - before
    quiet.end()
    #expect(total > 50)
    for number in 1...total {
      let pair = try Pair()
      defer { pair.end() }
      pair.sender.plan(FaultPlan(.powerCut, atOperation: pair.sender.operationCount + number))
      var next = 0
      for images in GrowingDisks.versions {
        // The cut ends one of them.
        guard (try? pair.pass(images)) != nil else { break }
        next += 1
      }
      pair.restartSender(number % 3 == 0 ? .none : .random(seed: UInt64(number)))
      // The pass that was cut may have committed: the source has grown once more by now.
      let first = min(next + number / 2 % 2, GrowingDisks.versions.count - 1)
      for version in first..<GrowingDisks.versions.count {
        let report = try pair.pass(GrowingDisks.versions[version])
        #expect(report.isSettled, "cut at \(number)")
        #expect(
          try #require(try pair.standby()).images == GrowingDisks.versions[version],
          "cut at \(number), version \(version)")
      }
    }
  }
}
