import Foundation
import ReplIO
import ReplModel
import ReplTestKit
import ReplTransport
import Synchronization
import Testing

@testable import ReplPass

/// The limits of a daemon as its threads meet them.
@Suite struct BandwidthShareTests {
  private static let lowest: Int64 = 64 << 10

  private func berlin(_ time: WallTime) -> LocalMoment {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(identifier: "Europe/Berlin")!
    let date = Date(timeIntervalSince1970: Double(time.millisecondsSince1970) / 1000)
    let parts = calendar.dateComponents([.weekday, .hour, .minute], from: date)
    return LocalMoment(
      weekday: Weekday(rawValue: (parts.weekday! + 5) % 7)!, minute: parts.hour! * 60 + parts.minute!)
  }

  private func plan(_ days: String, _ window: String, _ limit: Int64?) throws -> BandwidthPlan {
    BandwidthPlan(
      bytesPerSecond: 1_000_000,
      windows: [
        .init(
          days: try #require(Weekday.days(days)), time: try #require(DailyWindow(window)),
          bytesPerSecond: limit)
      ])
  }

  /// Minutes of the two days from midnight UTC of the first in which the window's limit holds.
  private func minutes(_ plan: BandwidthPlan, from day: String) throws -> Int {
    let time = ManualTime(wall: try #require(WallTime("\(day)T00:00:00.000Z")))
    let share = BandwidthShare(plan: plan, time: time) { berlin($0) }
    var minutes = 0
    for _ in 0..<2880 {
      if share.status.window != nil { minutes += 1 }
      time.advance(seconds: 60)
    }
    return minutes
  }

  @Test("an hour that spring leaves out is in no window, and the one that autumn repeats is in it twice")
  func daylightSaving() throws {
    let night = try plan("sat", "22:00-06:00", 77)
    let lost = try plan("sun", "02:00-03:00", 77)
    // Saturdays and Sundays: the clock goes on at 2:00 to 3:00 on 2026-03-29, and back at 3:00 on 2026-10-25.
    #expect(try minutes(night, from: "2026-03-21") == 8 * 60)
    #expect(try minutes(night, from: "2026-03-28") == 7 * 60)
    #expect(try minutes(night, from: "2026-10-24") == 9 * 60)
    #expect(try minutes(lost, from: "2026-03-21") == 60)
    #expect(try minutes(lost, from: "2026-03-28") == 0)
    #expect(try minutes(lost, from: "2026-10-24") == 120)
    // A window that begins in the hour that is left out begins at its end.
    #expect(try minutes(try plan("sun", "02:30-04:00", 77), from: "2026-03-28") == 60)
  }

  @Test("the moment of this machine is the one that Foundation tells")
  func localTime() {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .current
    for day in 0..<400 {
      let seconds = 1_790_000_000 + day * 86_400 + day * 3607
      let parts = calendar.dateComponents(
        [.weekday, .hour, .minute], from: Date(timeIntervalSince1970: Double(seconds)))
      let found = LocalTime(WallTime(millisecondsSince1970: Int64(seconds) * 1000)).moment
      #expect(
        found.weekday.rawValue == (parts.weekday! + 5) % 7 && found.minute == parts.hour! * 60 + parts.minute!
      )
    }
  }

  @Test(
    "a window begins and ends under an open connection; a clock that is set back changes the limit, no more")
  func clockChange() throws {
    let time = SteppedTime(wall: try #require(WallTime("2026-06-01T09:59:00.000Z")))
    let share = BandwidthShare(plan: try plan("mon", "12:00-13:00", 5000), time: time) { berlin($0) }
    let pace = share.makePace(for: "vm")
    // The clock stands still while somebody waits: there is something to send before anyone asks.
    #expect(share.status.limitBytesPerSecond == 1_000_000)
    time.advance(seconds: 1)
    #expect(pace.waitForTurn(1000) == 1000)
    pace.noteSent(grantedBytes: 1000, wireBytes: 1022)
    #expect(share.status.limitBytesPerSecond == 1_000_000 && share.status.window == nil)
    time.advance(seconds: 60)
    #expect(share.status.limitBytesPerSecond == 5000 && share.status.window == "mon 12:00-13:00")
    time.setWall(try #require(WallTime("2026-06-01T08:00:00.000Z")))
    time.advance(seconds: 1)
    #expect(share.status.limitBytesPerSecond == 1_000_000)
    time.advance(seconds: 1)
    #expect(pace.waitForTurn(1000) == 1000, "the bucket fills by the clock that never jumps")
    #expect(share.status(for: "vm")?.sentBytes == 1022 && share.status.sentBytes == 1022)
    #expect(share.status(for: "other") == nil)
    share.use(BandwidthPlan(bytesPerSecond: 7000))
    #expect(share.status.limitBytesPerSecond == 7000, "at once, and not at the next look")
    share.use(BandwidthPlan(bytesPerSecond: 6000), for: "vm")
    #expect(share.status(for: "vm")?.limitBytesPerSecond == 6000)
    share.retain([])
    #expect(share.status(for: "vm") != nil, "its connection is open")
    withExtendedLifetime(pace) {}
  }

  @Test("a VM that has left is forgotten when its last connection has ended")
  func forgotten() {
    let share = BandwidthShare(plan: .unlimited, time: SystemTime())
    share.use(BandwidthPlan(bytesPerSecond: 1_000_000), for: "a")
    do {
      let pace = share.makePace(for: "a")
      pace.noteSent(grantedBytes: 0, wireBytes: 7)
      share.retain([])
      #expect(share.status(for: "a")?.sentBytes == 7)
    }
    share.retain(["a"])
    #expect(share.status(for: "a") != nil)
    share.retain([])
    #expect(share.status(for: "a") == nil && share.status.sentBytes == 7)
  }

  /// Takes turns until told to stop; answers what was granted.
  private func send(_ pace: any SendPace, until isOver: @escaping @Sendable () -> Bool) -> Int {
    var sum = 0
    while !isOver() {
      let count = pace.waitForTurn(1 << 20)
      pace.noteSent(grantedBytes: count, wireBytes: Int64(count))
      sum += count
    }
    return sum
  }

  @Test("two connections of two VMs share the limit on real threads, and a change is in force at once")
  func threads() throws {
    let share = BandwidthShare(plan: BandwidthPlan(bytesPerSecond: 8_000_000), time: SystemTime())
    share.use(BandwidthPlan(bytesPerSecond: 2_000_000), for: "a")
    let ends = Deadline(seconds: 1)
    let sums = Mutex<[String: Int]>([:])
    let threads = ["a", "b"].map { lane in
      NamedThread.start("lane-\(lane)") {
        let sum = send(share.makePace(for: lane)) { ends.hasPassed }
        sums.withLock { $0[lane] = sum }
      }
    }
    for thread in threads { thread.join() }
    let (a, b) = sums.withLock { ($0["a"] ?? 0, $0["b"] ?? 0) }
    // Upper bounds only: a machine that is busy may do less.
    #expect(a <= 2_300_000 && a > 500_000, "\(a)")
    #expect(a + b <= 9_200_000 && a + b > 3_000_000, "\(a + b)")

    share.use(BandwidthPlan(bytesPerSecond: Self.lowest))
    let pace = share.makePace(for: "c")
    let granted = Monitor(0)
    pace.noteSent(grantedBytes: 0, wireBytes: 64 << 20)
    let waiting = NamedThread.start("waiting") {
      let count = pace.waitForTurn(1 << 20)
      granted.withLock { $0 = count }
    }
    #expect(granted.wait(seconds: 0.2) { $0 > 0 ? true : nil } == nil, "it owes a quarter of an hour")
    share.use(.unlimited)
    #expect(granted.wait(seconds: 2) { $0 > 0 ? $0 : nil } == 1 << 20)
    waiting.join()
  }

  @Test("whoever waits is woken by a release at once, and waits no more; what it sends still counts")
  func release() throws {
    let share = BandwidthShare(plan: BandwidthPlan(bytesPerSecond: Self.lowest), time: SystemTime())
    let pace = share.makePace(for: "vm")
    pace.noteSent(grantedBytes: 0, wireBytes: 64 << 20)
    let granted = Monitor(0)
    let waiting = NamedThread.start("waiting") {
      let count = pace.waitForTurn(1 << 20)
      granted.withLock { $0 = count }
    }
    #expect(granted.wait(seconds: 0.1) { $0 > 0 ? true : nil } == nil)
    let began = SystemTime().monotonicNanoseconds()
    pace.release()
    #expect(granted.wait(seconds: 5) { $0 > 0 ? true : nil } == true)
    #expect(SystemTime().monotonicNanoseconds() - began < 1_000_000_000)
    waiting.join()
    #expect(pace.waitForTurn(77) == 77)
    let other = share.makePace(for: "other")
    let blocked = Monitor(false)
    let thread = NamedThread.start("other") {
      _ = other.waitForTurn(1)
      blocked.withLock { $0 = true }
    }
    #expect(blocked.wait(seconds: 0.1) { $0 ? true : nil } == nil, "the debt is everybody's")
    other.release()
    thread.join()
  }
}

/// A clock whose civil time can be set apart from the one that never jumps.
private final class SteppedTime: TimeSource {
  private let state: Mutex<(nanoseconds: Int64, wall: Int64)>

  init(wall: WallTime) { state = Mutex((1_000_000_000, wall.millisecondsSince1970)) }

  func monotonicNanoseconds() -> Int64 { state.withLock { $0.nanoseconds } }
  func wallTime() -> WallTime { WallTime(millisecondsSince1970: state.withLock { $0.wall }) }
  func setWall(_ wall: WallTime) { state.withLock { $0.wall = wall.millisecondsSince1970 } }
  func advance(seconds: Double) {
    state.withLock {
      $0.nanoseconds += Int64(seconds * 1e9)
      $0.wall += Int64(seconds * 1000)
    }
  }
}
