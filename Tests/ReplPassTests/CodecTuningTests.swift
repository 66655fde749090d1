import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass
@testable import ReplSource

/// What a stream that sends makes of the receiver's word on who is slow.
@Suite struct CodecTuningTests {
  private let time = ManualTime()
  private let times: StageTimes
  private let scan: PageScan

  init() throws {
    times = StageTimes(time: time)
    scan = PageScan(
      disks: [],
      key: try #require(DigestKey(id: KeyID(high: 1, low: 1), bytes: Array(repeating: 7, count: 32))),
      codec: .zstd,
      tracker: ResumeTracker(leafCount: 0), times: times)
    times.connect()
    times.begin { ScanWaits() }
  }

  /// A second in which the writer waits for the wire, and the receiver says that it has worked `busySeconds`.
  private func waitForLink(busySeconds: Double?) {
    let began = times.now
    time.advance(seconds: 1)
    times.add(.link, since: began)
    if let busySeconds { times.noteTarget(busySeconds: busySeconds) }
  }

  @Test("a slow link raises the level, a receiver that is busy or says nothing does not")
  func whoIsSlow() throws {
    let tuning = CodecTuning(codec: .zstd, times: times) { false }
    waitForLink(busySeconds: nil)
    tuning.apply(to: scan)
    #expect(scan.currentLevel == 1, "nobody has said yet who is slow")
    waitForLink(busySeconds: 1.9)
    tuning.apply(to: scan)
    #expect(scan.currentLevel == 1, "the receiver was busy all the time")
    waitForLink(busySeconds: 1.95)
    tuning.apply(to: scan)
    #expect(scan.currentLevel == 3)
    waitForLink(busySeconds: nil)
    tuning.apply(to: scan)
    #expect(scan.currentLevel == 3, "nothing new was said")
    waitForLink(busySeconds: 2)
    tuning.apply(to: scan)
    #expect(scan.currentLevel == 6)
  }

  @Test("codec threads that are the slow ones send raw in a pass that is late, and compress in any other")
  func late() throws {
    let waits = Waits()
    times.begin { waits.now }
    let tuning = CodecTuning(codec: .zstd, times: times) { waits.isLate }
    for isLate in [false, true, false] {
      waits.isLate = isLate
      let began = times.now
      time.advance(seconds: 1)
      for _ in 0..<PageScan.Limits.codecThreadCount where scan.currentLevel != nil {
        times.add(.codec, since: began)
      }
      waits.now.writer += 1
      times.noteTarget(busySeconds: waits.now.writer / 100)
      tuning.apply(to: scan)
      #expect(scan.currentLevel == (isLate ? nil : 1), "late: \(isLate)")
    }
  }

  private final class Waits: @unchecked Sendable {
    // SAFETY: the test has one thread.
    var now = ScanWaits()
    var isLate = false
  }
}
