import ReplTestKit
import Testing

@testable import ReplStandby

/// Power cuts at every durable operation of a first copy and two passes.
@Suite("Power cuts") struct CrashSweepTests {
  static let senders: [Sender] = {
    do {
      return try [Bench.firstImage(), Bench.secondImage(), Bench.thirdImage()].map { try Sender($0) }
    } catch { fatalError("\(error)") }
  }()

  /// A view of which nothing is ever committed: other pages, and zeros where the others have data.
  static let variant: Sender = {
    do {
      var image = Bench.thirdImage()
      for page in [0, 2, 60, 103] { image.fill(0, page, UInt64(page + 7000)) }
      for page in [1, 8, 200, 256] { image.clear(0, page) }
      return try Sender(image)
    } catch { fatalError("\(error)") }
  }()

  static let scenario: PowerCuts = {
    do {
      return try PowerCuts(senders, interrupted: [[variant, senders[1]], [], [variant, senders[0]]])
    } catch { fatalError("\(error)") }
  }()

  @Test(
    "a power cut at any operation leaves one committed point, and the remaining passes go through",
    arguments: [Survivors.none, .all, .random(seed: 1)])
  func singleCut(survivors: Survivors) throws {
    #expect(Self.scenario.cuts.count > 300)
    try Self.scenario.cutOnce(survivors)
  }

  @Test("a second power cut at any operation of the recovery changes nothing", arguments: [1, 2] as [UInt64])
  func cutDuringRecovery(seed: UInt64) throws {
    #expect(try Self.scenario.cutDuringRecovery(seed: seed) > 100)
  }

  @Test("a kill at any operation, recovery, then a power cut without mercy: still one committed point")
  func killThenPowerCut() throws { try Self.scenario.killThenCut() }

  @Test("a kill at any operation and a power cut at any operation of the recovery: still one committed point")
  func killThenCutDuringRecovery() throws {
    #expect(try Self.scenario.killThenCutDuringRecovery() > 100)
  }
}
