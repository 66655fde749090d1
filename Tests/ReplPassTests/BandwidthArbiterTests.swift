import ReplModel
import Testing

@testable import ReplPass

/// Who may send how much, on a clock that the tests move.
@Suite struct BandwidthArbiterTests {
  /// Streams that ask again as soon as they are granted something; one to a lane.
  private struct Senders {
    var arbiter = BandwidthArbiter()
    var now: Int64 = 1_000_000_000
    var sent: [String: Int] = [:]
    /// The longest time that each went without.
    var longestGap: [String: Int64] = [:]
    private var last: [String: Int64] = [:]
    private var streams: [String: UInt64] = [:]
    var frameBytes = 1 << 20

    mutating func begin(_ lane: String) {
      let stream = UInt64(streams.count + 1)
      streams[lane] = stream
      last[lane] = now
      arbiter.ask(stream, of: lane, byteCount: frameBytes)
    }

    mutating func end(_ lane: String) {
      if let stream = streams.removeValue(forKey: lane) { arbiter.withdraw(stream) }
    }

    /// In steps of a millisecond.
    mutating func run(seconds: Double) {
      for _ in 0..<Int(seconds * 1000) {
        now += 1_000_000
        arbiter.distribute(now: now)
        for (lane, stream) in streams {
          guard let count = arbiter.takeGrant(stream) else { continue }
          sent[lane, default: 0] += count
          longestGap[lane] = max(longestGap[lane] ?? 0, now - (last[lane] ?? now))
          last[lane] = now
          arbiter.ask(stream, of: lane, byteCount: frameBytes)
        }
      }
    }

    var total: Int { sent.values.reduce(0, +) }
  }

  private func expect(_ found: Int?, near expected: Double, within share: Double = 0.03, _ what: String = "")
  {
    let found = Double(found ?? 0)
    #expect(abs(found - expected) <= expected * share, "\(what) \(found), expected \(expected)")
  }

  private func moment(_ seconds: Int64) -> WallTime { WallTime(millisecondsSince1970: seconds * 1000) }

  @Test("the limit holds over time, for one and for many", arguments: [1, 2, 7])
  func total(_ count: Int) {
    for rate: Int64 in [64 << 10, 1_000_000, 4_000_000, 200_000_000] {
      var senders = Senders()
      senders.arbiter.set(rate: rate, now: senders.now)
      for index in 0..<count { senders.begin("vm\(index)") }
      senders.run(seconds: 4)
      expect(senders.total, near: Double(rate) * 4, within: 0.02, "\(count) at \(rate)")
    }
  }

  @Test("without a limit everything is granted at once")
  func unlimited() {
    var senders = Senders()
    senders.begin("a")
    senders.run(seconds: 0.01)
    #expect(senders.sent["a"] == 10 << 20)
  }

  @Test("after a pause no more than a tenth of a second's worth goes out at once")
  func burst() {
    var senders = Senders()
    senders.arbiter.set(rate: 1_000_000, now: senders.now)
    senders.now += 3_600_000_000_000
    senders.begin("a")
    senders.run(seconds: 0.001)
    #expect((senders.sent["a"] ?? 0) <= 101_000 && (senders.sent["a"] ?? 0) >= 90_000)
    senders.run(seconds: 1)
    expect(senders.sent["a"], near: 1_100_000)
  }

  @Test("three bytes of four go to whoever breaks its RPO first, the fourth to the others in turn")
  func priority() {
    var senders = Senders()
    senders.arbiter.set(rate: 4_000_000, now: senders.now)
    for (lane, deadline) in [("late", 100), ("soon", 200), ("later", 300)] as [(String, Int64)] {
      senders.arbiter.set(deadline: moment(deadline), of: lane)
    }
    // A first copy has no point to grow old.
    for lane in ["first", "later", "soon", "late"] { senders.begin(lane) }
    senders.run(seconds: 20)
    expect(senders.sent["late"], near: 60_000_000, within: 0.1, "the first")
    for lane in ["soon", "later", "first"] { expect(senders.sent[lane], near: 6_700_000, within: 0.2, lane) }
    expect(senders.total, near: 80_000_000, within: 0.01)

    // Its point is committed: the next one comes first, and those without a point come last.
    senders.arbiter.set(deadline: moment(400), of: "late")
    senders.sent = [:]
    senders.run(seconds: 20)
    expect(senders.sent["soon"], near: 60_000_000, within: 0.1)
    senders.end("soon")
    senders.end("later")
    senders.sent = [:]
    senders.run(seconds: 20)
    expect(senders.sent["late"], near: 60_000_000, within: 0.1, "before one without a point")
    expect(senders.sent["first"], near: 20_000_000, within: 0.2)
  }

  @Test("equal ones share equally")
  func equals() {
    var senders = Senders()
    senders.arbiter.set(rate: 8_000_000, now: senders.now)
    for index in 0..<4 { senders.begin("vm\(index)") }
    senders.run(seconds: 10)
    for index in 0..<4 { expect(senders.sent["vm\(index)"], near: 20_000_000, within: 0.05) }
  }

  @Test("what a VM may not use for its own limit goes to the others, and so does what it leaves")
  func workConserving() {
    var senders = Senders()
    senders.arbiter.set(rate: 10_000_000, now: senders.now)
    senders.arbiter.set(rate: 1_000_000, of: "capped", now: senders.now)
    senders.arbiter.set(deadline: moment(1), of: "capped")
    senders.arbiter.set(deadline: moment(2), of: "other")
    senders.begin("capped")
    senders.begin("other")
    senders.run(seconds: 10)
    expect(senders.sent["capped"], near: 10_000_000, within: 0.03, "its own limit, although it comes first")
    expect(senders.sent["other"], near: 90_000_000, within: 0.03, "all the rest")
    senders.end("other")
    senders.sent = [:]
    senders.run(seconds: 2)
    expect(senders.sent["capped"], near: 2_000_000, within: 0.03, "alone as well")
    senders.arbiter.set(rate: nil, of: "capped", now: senders.now)
    senders.sent = [:]
    senders.run(seconds: 2)
    // What had been saved up besides is a tenth of a second's worth.
    expect(senders.sent["capped"], near: 20_500_000, within: 0.03, "without its own limit")
  }

  @Test("32 VMs at the lowest limit each send something at least every ten seconds")
  func starvation() {
    var senders = Senders()
    senders.arbiter.set(rate: 64 << 10, now: senders.now)
    senders.arbiter.set(deadline: moment(1), of: "vm0")
    for index in 0..<32 { senders.begin("vm\(index)") }
    senders.run(seconds: 25)
    let longest = senders.longestGap.values.max() ?? 0
    #expect(senders.longestGap.count == 32 && longest < 10_000_000_000, "\(longest)")
    #expect((senders.sent["vm0"] ?? 0) > senders.total * 7 / 10)
  }

  @Test("what goes out without waiting is waited for afterwards, so that the limit holds with it")
  func debt() {
    var senders = Senders()
    senders.arbiter.set(rate: 1_000_000, now: senders.now)
    senders.arbiter.charge(5_000_000, to: "a")
    senders.begin("a")
    senders.run(seconds: 4.9)
    #expect(senders.total == 0)
    senders.run(seconds: 5.1)
    expect(senders.total, near: 5_000_000, within: 0.03)
  }

  @Test("a changed limit holds from the next piece on, and saves nothing up")
  func change() {
    var senders = Senders()
    senders.arbiter.set(rate: 1_000_000, now: senders.now)
    senders.begin("a")
    senders.run(seconds: 1)
    for rate: Int64 in [20_000_000, 100_000, 5_000_000] {
      senders.sent = [:]
      senders.arbiter.set(rate: rate, now: senders.now)
      senders.run(seconds: 4)
      expect(senders.total, near: Double(rate) * 4, within: rate == 100_000 ? 0.2 : 0.02, "\(rate)")
    }
  }

  @Test("the meter tells the rate of the last five seconds, and of a shorter time after a pause")
  func meter() {
    var meter = RateMeter()
    var now: Int64 = 7_000_000_000
    #expect(meter.bytesPerSecond(now: now) == 0)
    for _ in 0..<100 {
      now += 100_000_000
      meter.add(50_000, now: now)
    }
    #expect(abs(meter.bytesPerSecond(now: now) - 500_000) < 10_000)
    now += 20_000_000_000
    #expect(meter.bytesPerSecond(now: now) == 0)
    for _ in 0..<15 {
      now += 100_000_000
      meter.add(200_000, now: now)
    }
    #expect(abs(meter.bytesPerSecond(now: now) - 2_000_000) < 500_000, "\(meter.bytesPerSecond(now: now))")
  }

  @Test("the fastest of links does not overflow the meter, and the slowest one is seen")
  func meterBounds() {
    for rate: Int64 in [2, 2_000_000_000, 1_000_000_000_000] {
      var meter = RateMeter()
      for half: Int64 in 0..<20 { meter.add(rate / 2, now: half * 500_000_000) }
      #expect(meter.bytesPerSecond(now: 10_000_000_000) == rate)
    }
  }
}
