import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplSource

/// Whose fault it is that a pass takes long.
@Suite struct StageTimesTests {
  private static func reading(_ change: (inout StageReading) -> Void) -> StageReading {
    var reading = StageReading(
      readSeconds: 2, digestSeconds: 1, codecSeconds: 1, windowSeconds: 0.1, linkSeconds: 0.2,
      waits: ScanWaits(readers: 0.1, codec: 0.2, writer: 0.3))
    change(&reading)
    return reading
  }

  @Test(
    "the bottleneck is what the writer waits for, and of those before it whoever waits least",
    arguments: [
      (Bottleneck.sourceRead, reading { $0.waits.writer = 9 }),
      (
        .digest,
        reading {
          $0.waits.writer = 9
          $0.digestSeconds = 3
        }
      ),
      (
        .codec,
        reading {
          $0.waits.writer = 9
          $0.waits.readers = 8
        }
      ),
      (.link, reading { $0.linkSeconds = 9 }),
      (
        .targetWrite,
        reading {
          $0.linkSeconds = 9
          $0.targetBusySeconds = 8.5
        }
      ),
      (
        .link,
        reading {
          $0.windowSeconds = 9
          $0.targetBusySeconds = 1
        }
      ),
      (.targetWrite, reading { $0.windowSeconds = 9 }),
      (.targetWrite, reading { $0.settleSeconds = 9 }),
      (
        .link,
        reading {
          $0.commitSeconds = 9
          $0.targetBusySeconds = 0.5
        }
      ),
      (.freeze, reading { $0.freezeSeconds = 9 }),
    ])
  func bottleneck(expected: Bottleneck, reading: StageReading) {
    #expect(reading.bottleneck == expected)
  }

  @Test("nothing that was measured is no bottleneck, and a scan without a codec never waits for one")
  func nothing() {
    #expect(StageReading().bottleneck == nil)
    let raw = StageReading(readSeconds: 1, waits: ScanWaits(readers: 3, writer: 9))
    #expect(raw.bottleneck == .sourceRead)
  }

  @Test("what the writer waits for is seen while it waits")
  func pending() {
    let time = ManualTime()
    let times = StageTimes(time: time)
    times.measureWriter(.link) {
      time.advance(seconds: 60)
      #expect(times.reading.linkSeconds == 60)
      #expect(times.reading.bottleneck == .link)
    }
    times.measureWriter(.window) { time.advance(seconds: 2) }
    time.advance(seconds: 100)
    #expect(times.reading.linkSeconds == 60 && times.reading.windowSeconds == 2)
  }

  @Test("several connections add up, and a target cannot say that it worked longer than there was time")
  func connections() {
    let time = ManualTime()
    let times = StageTimes(time: time)
    #expect(times.reading.targetBusySeconds == nil)
    for round in 1...2 {
      times.connect()
      times.begin { ScanWaits() }
      times.noteTarget(busySeconds: 1)
      times.end()
      // A second scan on the same connection: what the target says goes on.
      times.begin { ScanWaits(readers: 1, codec: 2, writer: 3) }
      time.advance(seconds: 10)
      times.noteTarget(busySeconds: 4)
      times.noteTarget(busySeconds: 1e12)
      times.end()
      #expect(times.reading.targetBusySeconds == Double(round * 10))
      #expect(
        times.reading.waits
          == ScanWaits(readers: Double(round), codec: Double(2 * round), writer: Double(3 * round)))
    }
    times.noteTarget(busySeconds: -5)
    #expect(times.reading.targetBusySeconds == 10)
  }
}

@Suite struct QueueWaitTests {
  @Test("a queue tells how long its threads wait, those that wait now included")
  func waits() throws {
    let queue = BoundedQueue<Int>(capacity: 1)
    #expect(queue.push(1) && queue.pop() == 1)
    #expect(queue.waitedNanoseconds == (0, 0), "nobody waited")
    let popped = NamedThread.start("pop") { _ = queue.pop() }
    let deadline = Deadline(seconds: 10)
    while queue.waitedNanoseconds.pop < 20_000_000, !deadline.hasPassed {}
    let during = queue.waitedNanoseconds.pop
    #expect(during >= 20_000_000)
    queue.push(2)
    popped.join()
    let after = queue.waitedNanoseconds
    #expect(after.pop >= during && after.push == 0)
    #expect(queue.waitedNanoseconds == after, "nobody waits any more")
    queue.push(3)
    let pushed = NamedThread.start("push") { queue.push(4) }
    while queue.waitedNanoseconds.push < 10_000_000, !deadline.hasPassed {}
    queue.cancel()
    pushed.join()
    #expect(queue.waitedNanoseconds.push >= 10_000_000)
  }
}
