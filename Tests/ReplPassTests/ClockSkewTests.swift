import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// Clocks that do not agree (FAULTS.md 81).
@Suite struct ClockSkewTests {
  @Test("both sides learn how far the other's clock is from their own, and the receiver warns once an hour")
  func bothSides() throws {
    let pair = try Pair()
    defer { pair.end() }
    let ahead = SystemTime().wallTime().millisecondsSince1970 + 7_200_000
    let time = ManualTime(wall: WallTime(millisecondsSince1970: ahead))
    pair.set(time: time)
    try pair.startReceiver()
    var settings = pair.settings()
    let measured = Mutex<[Double]>([])
    settings.onClockSkew = { skew in measured.withLock { $0.append(skew) } }
    let disks = [
      MemoryDisk([UInt8](repeating: 7, count: 8192)), MemoryDisk([UInt8](repeating: 8, count: 4096)),
    ]
    func pass() throws {
      _ = try SourcePass(
        view: pair.view(disks), settings: settings, state: SourceState(root: pair.sender.disk("state")),
        lastEpoch: nil, stop: StopSignal(), time: SystemTime(), progress: { _ in }
      ).run()
    }
    func warnings() -> [Double] {
      pair.events.compactMap { if case .clockSkew("primary", let seconds) = $0 { seconds } else { nil } }
    }
    for _ in 0..<2 { try pass() }
    #expect(measured.withLock { $0.count == 2 && $0.allSatisfy { abs($0 - 7200) < 60 } })
    #expect(abs((pair.status?.clockSkewSeconds ?? 0) + 7200) < 60)
    #expect(warnings().count == 1 && abs(warnings()[0] + 7200) < 60)
    time.advance(seconds: 3600)
    try pass()
    #expect(warnings().count == 2)
  }

  @Test("a clock that was put right and goes wrong again is told at once; a minute is no fault")
  func rightAgain() {
    let skew = ClockSkew()
    let wrong = [60.0, 61, 62, 0, -61].map { skew.mustWarn(of: $0, peer: "a", now: 5) }
    #expect(wrong == [false, true, false, false, true])
    #expect(skew.mustWarn(of: 3600, peer: "b", now: 5))
  }
}
