import ReplModel
import Testing

@testable import ReplPass

/// Passes start so early that they commit before the objective is missed.
@Suite struct RPOScheduleTests {
  private static func terms(_ interval: Double, rpo: Double, expected: Double?) -> PassTerms {
    PassTerms(intervalSeconds: interval, rpoSeconds: rpo, expectedSeconds: expected)
  }

  /// Runs passes for as long as `seconds`, each of which takes what `duration` says of its VM and its start;
  /// answers the starts and the greatest lag of each, measured before each commit.
  private func simulate(
    _ schedule: inout PassSchedule<String>, seconds: Double, expects: (String) -> Double?,
    duration: (String, Double) -> Double
  ) -> (starts: [String: [Double]], lags: [String: [Double]]) {
    var now = 0.0
    var starts: [String: [Double]] = [:]
    var lags: [String: [Double]] = [:]
    var running: [(key: String, start: Double, end: Double)] = []
    while now < seconds {
      while let key = schedule.takeDue(nowSeconds: now) {
        running.append((key, now, now + duration(key, now)))
        starts[key, default: []].append(now)
      }
      let end = running.map(\.end).min() ?? .infinity
      let due = schedule.secondsUntilDue(nowSeconds: now).map { now + max($0, 0.05) } ?? .infinity
      now = min(end, due)
      for pass in running where pass.end <= now {
        if let before = starts[pass.key]?.dropLast().last { lags[pass.key, default: []].append(now - before) }
        schedule.committed(
          pass.key, startedSeconds: pass.start, expectedSeconds: expects(pass.key), nowSeconds: now)
      }
      running.removeAll { $0.end <= now }
    }
    return (starts, lags)
  }

  @Test("a pass that would come too late by its interval starts earlier, and no earlier than it has to")
  func early() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: Self.terms(600, rpo: 900, expected: nil), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) == "a")
    schedule.committed("a", startedSeconds: 0, expectedSeconds: 60, nowSeconds: 60)
    #expect(schedule.secondsUntilDue(nowSeconds: 60) == 540, "the interval is soon enough")
    #expect(schedule.takeDue(nowSeconds: 600) == "a")
    // 400 s and a quarter and a second before 600 + 900.
    schedule.committed("a", startedSeconds: 600, expectedSeconds: 400, nowSeconds: 700)
    #expect(schedule.secondsUntilDue(nowSeconds: 700) == 299.0)
    #expect(schedule.takeDue(nowSeconds: 998) == nil)
    #expect(schedule.takeDue(nowSeconds: 999) == "a")
  }

  @Test("passes that grow stay within the objective as long as they can")
  func growing() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: Self.terms(100, rpo: 110, expected: nil), nowSeconds: 0)
    var measured: [PassMeasure] = []
    let result = simulate(&schedule, seconds: 2000) { _ in
      PassEstimate(measured)?.seconds
    } duration: { _, now in
      let seconds = 5 + now / 50
      measured.append(.sample(seconds: seconds))
      return seconds
    }
    let lags = result.lags["a"] ?? []
    #expect(lags.count > 15)
    #expect(lags.allSatisfy { $0 <= 110 }, "\(lags)")
    let pauses = zip(result.starts["a"] ?? [], (result.starts["a"] ?? []).dropFirst()).map { $1 - $0 }
    #expect(pauses.contains { $0 == 100 }, "short passes start by the interval")
    #expect((pauses.last ?? 100) < 70, "long ones start early: \(pauses)")
  }

  @Test("two VMs that share one place do not start at the last moment both")
  func competing() {
    var schedule = PassSchedule<String>(limit: 1)
    for key in ["a", "b"] { schedule.add(key, terms: Self.terms(100, rpo: 100, expected: 30), nowSeconds: 0) }
    let result = simulate(&schedule, seconds: 3000) { _ in
      30
    } duration: { _, _ in
      30
    }
    for key in ["a", "b"] {
      let lags = result.lags[key] ?? []
      #expect(lags.count > 20 && lags.allSatisfy { $0 <= 100 }, "\(key): \(lags)")
    }
  }

  @Test("the plan puts passes before their deadlines and before each other; what is too late pushes nobody")
  func plan() {
    let jobs = [
      PassPlan.Job(key: "a", deadlineSeconds: 100, expectedSeconds: 20),
      PassPlan.Job(key: "b", deadlineSeconds: 100, expectedSeconds: 20),
      PassPlan.Job(key: "late", deadlineSeconds: 90, expectedSeconds: 1000),
      PassPlan.Job(key: "c", deadlineSeconds: 80, expectedSeconds: 20),
    ]
    func starts(_ places: Int) -> [String: Double] {
      PassPlan.latestStarts(jobs, places: places, longPassSeconds: 120, nowSeconds: 0)
    }
    let one = starts(1)
    #expect(Set([one["a"], one["b"]]) == [74, 54])
    #expect(one["c"] == 34 && (one["late"] ?? 0) < 0)
    let two = starts(2)
    #expect(two["a"] == 74 && two["b"] == 74 && two["c"] == 54)
  }

  @Test("a VM whose passes take longer than its objective rests between them, and others get their turn")
  func hopeless() {
    var schedule = PassSchedule<String>(limit: 1)
    for key in ["a", "b"] { schedule.add(key, terms: Self.terms(10, rpo: 10, expected: 30), nowSeconds: 0) }
    schedule.add("fine", terms: Self.terms(200, rpo: 300, expected: 5), nowSeconds: 0)
    let result = simulate(&schedule, seconds: 3000) {
      $0 == "fine" ? 5 : 30
    } duration: { key, _ in
      key == "fine" ? 5 : 30
    }
    let fine = result.lags["fine"] ?? []
    // It could start after 200 s, and must after 293: those that are always late come first until then.
    #expect(fine.count >= 8 && fine.allSatisfy { $0 <= 300 }, "\(fine)")
    for key in ["a", "b"] {
      let starts = result.starts[key] ?? []
      #expect(starts.count > 35, "\(key) is not given up")
      #expect(zip(starts, starts.dropFirst()).allSatisfy { $1 - $0 >= 33 }, "\(starts)")
    }
  }

  @Test("a pass that is quicker than its rest does not spin, however short the objective")
  func noSpinning() {
    var schedule = PassSchedule<String>(limit: 2)
    schedule.add("a", terms: Self.terms(10, rpo: 10, expected: 9), nowSeconds: 0)
    let result = simulate(&schedule, seconds: 100) { _ in
      9
    } duration: { _, _ in
      0.01
    }
    #expect((result.starts["a"] ?? []).count <= 100)
  }

  @Test("whoever must start before another's pass would be done goes first where there is one place for both")
  func hurried() {
    for (limit, expected) in [(1, "soon"), (2, "due")] {
      var schedule = PassSchedule<String>(limit: limit)
      schedule.add("due", terms: Self.terms(10, rpo: 10, expected: 60), pointAgeSeconds: 50, nowSeconds: 0)
      schedule.add("soon", terms: Self.terms(600, rpo: 600, expected: 10), nowSeconds: 0)
      #expect(schedule.takeDue(nowSeconds: 0) == "soon")
      schedule.committed("soon", startedSeconds: 0, expectedSeconds: 10, nowSeconds: 10)
      // It must start at 586.5.
      #expect(schedule.takeDue(nowSeconds: 560) == expected, "\(limit) places")
    }
  }

  @Test("where there is more to do than places, all VMs come late and none is left out")
  func overload() {
    var schedule = PassSchedule<String>(limit: 2)
    for number in 0..<20 {
      schedule.add(
        "\(number)", terms: Self.terms(600, rpo: 900, expected: 100), pointAgeSeconds: Double(number) * 40,
        nowSeconds: 0)
    }
    let result = simulate(&schedule, seconds: 3 * 3600) { _ in
      100
    } duration: { key, _ in
      // 80 to 118 s: 20 passes take 990 s of each place.
      80 + Double(key.utf8.reduce(0) { $0 + Int($1) } % 20) * 2
    }
    for number in 0..<20 {
      let starts = result.starts["\(number)"] ?? []
      #expect(starts.count >= 5, "VM \(number): \(starts)")
      #expect(zip(starts, starts.dropFirst()).allSatisfy { $1 - $0 <= 2400 }, "VM \(number): \(starts)")
    }
  }

  @Test("no pause after a failure is so long that the objective is missed for it")
  func patience() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: Self.terms(600, rpo: 600, expected: 8), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) == "a")
    schedule.committed("a", startedSeconds: 0, expectedSeconds: 8, nowSeconds: 8)
    var now = 300.0
    var tries: [Double] = []
    while now < 589 {
      #expect(schedule.secondsUntilDue(nowSeconds: now) != nil)
      now += schedule.secondsUntilDue(nowSeconds: now) ?? 0
      guard schedule.takeDue(nowSeconds: now) == "a" else { break }
      tries.append(now)
      schedule.failed("a", remedy: .retryPass, retryAfterSeconds: nil, jitter: 0.5, nowSeconds: now)
    }
    #expect(tries.contains { (580...589).contains($0) }, "one more try before it is too late: \(tries)")
  }

  @Test("after a restart those with the oldest points go first")
  func restart() {
    var schedule = PassSchedule<String>(limit: 3)
    let terms = Self.terms(600, rpo: 900, expected: nil)
    schedule.add("young", terms: terms, pointAgeSeconds: 10, nowSeconds: 1000)
    schedule.add("old", terms: terms, pointAgeSeconds: 800, nowSeconds: 1000)
    schedule.add("none", terms: terms, nowSeconds: 1000)
    #expect((0..<3).map { _ in schedule.takeDue(nowSeconds: 1000) } == ["none", "old", "young"])
  }

  @Test("what is expected of passes that wait: their time, a place that another one holds, failures")
  func outlook() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: Self.terms(600, rpo: 900, expected: 40), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) == "a")
    schedule.add("b", terms: Self.terms(600, rpo: 900, expected: 10), pointAgeSeconds: 500, nowSeconds: 0)
    schedule.add("c", terms: Self.terms(600, rpo: 900, expected: 10), pointAgeSeconds: 100, nowSeconds: 0)
    let busy = schedule.outlook(nowSeconds: 15)
    #expect(busy["b"] == .init(startsAtSeconds: 40, isPlaceMissing: true, failures: 0))
    #expect(busy["c"] == .init(startsAtSeconds: 50, isPlaceMissing: true, failures: 0))
    #expect(busy["a"] == .init(startsAtSeconds: 15, isPlaceMissing: false, failures: 0))
    // It takes longer than it should, and others wait.
    #expect((schedule.outlook(nowSeconds: 60)["b"]?.startsAtSeconds ?? 0) > 60)
    schedule.failed("a", remedy: .retryPass, retryAfterSeconds: 7, jitter: 0.5, nowSeconds: 70)
    #expect(schedule.outlook(nowSeconds: 70)["a"]?.failures == 1)
    #expect(schedule.outlook(nowSeconds: 70)["b"]?.startsAtSeconds == 70)
  }
}

extension PassMeasure {
  /// A pass that took so long, most of it for sending.
  static func sample(seconds: Double, isFirstCopy: Bool = false, bottleneck: Bottleneck? = nil) -> PassMeasure
  {
    PassMeasure(
      at: WallTime(millisecondsSince1970: 0), seconds: seconds, freezeSeconds: seconds * 0.1,
      sendSeconds: seconds * 0.8, commitSeconds: seconds * 0.1, changedBytes: 1, wireBytes: 1,
      isFirstCopy: isFirstCopy, bottleneck: bottleneck)
  }
}
