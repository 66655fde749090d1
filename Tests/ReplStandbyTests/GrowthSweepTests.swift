import ReplTestKit
import Testing

@testable import ReplStandby

/// Power cuts, kills and failing operations all over passes that make disks larger.
@Suite("Power cuts while disks grow") struct GrowthSweepTests {
  /// Two disks that grow and change in the second pass, one of them from the middle of a page over the end of
  /// a leaf; the third pass changes what is new, and one disk grows once more, inside its last page.
  static let senders: [Sender] = {
    do {
      var second = Bench.secondImage()
      second.grow(0, to: (2 << 20) + (300 << 10) + 512)
      second.grow(1, to: (98 << 10) + 1024)
      for page in [256, 257, 300, 511, 512, 587] { second.fill(0, page, UInt64(page + 6000)) }
      second.fill(1, 24, 6100)
      var third = second
      third.grow(0, to: second.disks[0].count + 1024)
      for page in [1, 300, 400, 587] { third.fill(0, page, UInt64(page + 6500)) }
      for page in [257, 511] { third.clear(0, page) }
      third.fill(1, 23, 6600)
      return try [Bench.firstImage(), second, third].map { try Sender($0) }
    } catch { fatalError("\(error)") }
  }()

  static let scenario: PowerCuts = {
    do {
      var other = senders[1].image
      for page in [2, 256, 258, 500] { other.fill(0, page, UInt64(page + 7500)) }
      other.clear(0, 512)
      let grown = try Sender(other)
      return try PowerCuts(
        senders,
        interrupted: [[CrashSweepTests.variant], [CrashSweepTests.variant, grown, senders[2]], [grown]])
    } catch { fatalError("\(error)") }
  }()

  @Test(
    "power is cut at any operation of passes that grow disks: one committed point of its own size is there",
    arguments: [Survivors.none, .all, .random(seed: 11)])
  func singleCut(survivors: Survivors) throws {
    #expect(Self.scenario.cuts.count > 300)
    // Every operation where nothing survives that was not synced; every other one where something does.
    if case .none = survivors {
      try Self.scenario.cutOnce(survivors)
    } else {
      try Self.scenario.cutOnce(survivors, every: 2)
    }
  }

  @Test("power is cut again during the recovery of a growing disk")
  func cutDuringRecovery() throws {
    #expect(try Self.scenario.cutDuringRecovery(seed: 3) > 100)
  }

  @Test("a kill during growth, then a power cut, also during the recovery: still one committed point")
  func kills() throws {
    try Self.scenario.killThenCut()
    #expect(try Self.scenario.killThenCutDuringRecovery() > 100)
  }

  @Test("an operation that fails once while a disk grows ends at most one pass, and loses nothing")
  func ioError() throws { try FaultSweep(senders: Self.senders).sweep(2, .ioErrorOnce, attempts: 3) }

  @Test("a full disk while a disk grows ends the pass, and it goes through when there is space")
  func outOfSpace() throws { try FaultSweep(senders: Self.senders).sweep(2, .outOfSpace, attempts: 3) }
}
