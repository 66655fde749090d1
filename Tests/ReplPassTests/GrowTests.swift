import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// Disks that grow between passes, over the whole of both sides.
@Suite(.serialized) struct GrowTests {
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
  private static let versions: [[[UInt8]]] = {
    let first = filled([UInt8](repeating: 0, count: (300 << 10) + 1536), [0, 1, 5, 40, 75], seed: 1)
    let second = filled([UInt8](repeating: 0, count: 64 << 10), [0, 1, 2, 3], seed: 100)
    let larger = filled(grown(first, to: (1200 << 10) + 512), [1, 75, 76, 255, 256, 300], seed: 200)
    let largest = filled(grown(larger, to: (1200 << 10) + 2048), [2, 300], seed: 300)
    return [
      [first, second], [larger, grown(second, to: 80 << 10)],
      [largest, filled(grown(second, to: 80 << 10), [19], seed: 400)],
    ]
  }()

  @Test("only what changed travels when a disk grew, and neither side asks the other for its map")
  func onlyChanges() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(Self.versions[0])
    let overlays = Mutex<[String]>([])
    pair.sender.watch { moment in
      if moment.path.hasSuffix(".held") { overlays.withLock { $0.append(moment.path) } }
    }
    // The last page that changed is short each time; growth inside a page changes no page by itself.
    for (number, bytes) in [(1, 5 * 4096 + 512), (2, 2 * 4096 + 2048)] {
      let report = try pair.pass(Self.versions[number])
      #expect(report.isSettled)
      #expect(report.pass.changedBytes == Int64(bytes), "version \(number)")
      #expect(try #require(try pair.standby()).images == Self.versions[number])
    }
    #expect(overlays.withLock { $0 }.isEmpty, "the maps were compared page by page")
  }

  @Test("a disk that shrank stops the VM, says both sizes, and leaves the standby as it was")
  func shrunk() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(Self.versions[1])
    do {
      _ = try pair.pass(Self.versions[0])
      Issue.record("a shrunk disk was taken")
    } catch {
      let error = try #require(error as? PassError)
      #expect(error.remedy == .stopVM)
      #expect("\(error)".contains("scsi0:0 shrank from 1229312 to 308736 bytes"), "\(error)")
    }
    #expect(try #require(try pair.standby()).images == Self.versions[1])
  }

  @Test(
    "power is cut at the sender at every other operation while disks grow: the next passes are right"
  )
  func senderCuts() throws {
    let quiet = try Pair()
    let before = quiet.sender.operationCount
    for images in Self.versions { _ = try quiet.pass(images) }
    let total = quiet.sender.operationCount - before
    quiet.end()
    #expect(total > 50)
    for number in stride(from: 1, through: total, by: 2) {
      let pair = try Pair()
      defer { pair.end() }
      pair.sender.plan(FaultPlan(.powerCut, atOperation: pair.sender.operationCount + number))
      var next = 0
      for images in Self.versions {
        // The cut ends one of them.
        guard (try? pair.pass(images)) != nil else { break }
        next += 1
      }
      pair.restartSender(number % 3 == 0 ? .none : .random(seed: UInt64(number)))
      // The pass that was cut may have committed: the source has grown once more by now.
      for version in min(next + number / 2 % 2, Self.versions.count - 1)..<Self.versions.count {
        let report = try pair.pass(Self.versions[version])
        #expect(report.isSettled, "cut at \(number)")
        #expect(
          try #require(try pair.standby()).images == Self.versions[version],
          "cut at \(number), version \(version)")
      }
    }
  }
}
