import ReplModel
import Testing

@testable import ReplPass

/// Whether the objective will be met, before it is not.
@Suite struct RPOForecastTests {
  private static let now = WallTime(millisecondsSince1970: 1_800_000_000_000)

  private static func ago(_ seconds: Double) -> WallTime {
    WallTime(millisecondsSince1970: now.millisecondsSince1970 - Int64(seconds * 1000))
  }

  /// An RPO of 900 s, the newest point so old, passes that take so long.
  private func situation(lag: Double?, takes: Double?, startsIn: Double? = 0) -> RPOForecast {
    var forecast = RPOForecast(now: Self.now, rpoSeconds: 900)
    forecast.newestFrozenAt = lag.map(Self.ago)
    forecast.estimate = takes.flatMap { PassEstimate([.sample(seconds: $0)]) }
    forecast.startsInSeconds = startsIn
    return forecast
  }

  private func running(
    _ phase: String, since seconds: Double, done: Int64 = 0, of total: Int64 = 0
  ) -> VMStatus.Running {
    VMStatus.Running(
      pass: PassID(high: 1, low: 1), phase: phase, startedAt: Self.ago(seconds), doneBytes: done,
      totalBytes: total, wireBytes: 0)
  }

  /// A pass that has been sending for ten seconds at `bytesPerSecond`, and is at `done`.
  private func sending(
    _ forecast: inout RPOForecast, since seconds: Double, done: Int64, of total: Int64, rate: Int64
  ) {
    for step in 0...10 {
      let then = running("send", since: seconds, done: done - rate * Int64(10 - step), of: total)
      forecast.track.look(at: then, nowSeconds: Double(step))
    }
    forecast.running = running("send", since: seconds, done: done, of: total)
  }

  private func failure(_ phase: String, _ remedy: Remedy, ago seconds: Double = 1) -> VMStatus.Failure {
    VMStatus.Failure(at: Self.ago(seconds), phase: phase, cause: "refused", remedy: remedy)
  }

  @Test(
    "a pass that waits is in time when its start and what it takes leave it so",
    arguments: [
      (300.0, 100.0, 200.0, VMStatus.Forecast.Verdict.met), (300, 100, 501, .atRisk), (300, 601, 0, .atRisk),
      (899, 2, 0, .atRisk), (901, 2, 0, .missed),
    ])
  func waiting(lag: Double, takes: Double, startsIn: Double, expected: VMStatus.Forecast.Verdict) {
    let forecast = situation(lag: lag, takes: takes, startsIn: startsIn).result
    #expect(forecast.verdict == expected, "\(forecast)")
    #expect(forecast.breachAt == Self.ago(lag - 900))
    #expect(forecast.lagSeconds == lag + takes + startsIn)
    #expect(forecast.commitAt == Self.ago(-takes - startsIn))
  }

  @Test("what nobody has measured is unknown, never well")
  func unknown() {
    #expect(situation(lag: nil, takes: 5).result.verdict == .unknown)
    #expect(situation(lag: 5, takes: nil).result.verdict == .unknown)
    #expect(situation(lag: 5, takes: 5, startsIn: nil).result.verdict == .unknown)
    var early = situation(lag: 5, takes: nil)
    early.running = running("freeze", since: 3)
    #expect(early.result.verdict == .unknown)
    #expect(situation(lag: 1000, takes: nil).result.verdict == .missed, "what is past is known")
  }

  @Test("a pass under way is judged by its speed: the more of it is done, the more that counts")
  func speed() {
    var slow = situation(lag: 700, takes: 60)
    sending(&slow, since: 20, done: 100, of: 10_000, rate: 10)
    #expect(slow.result.verdict == .atRisk, "990 s to go, 200 left: \(slow.result)")
    #expect((slow.result.lagSeconds ?? 0) > 1600)
    var fast = situation(lag: 700, takes: 60)
    sending(&fast, since: 20, done: 5000, of: 10_000, rate: 100)
    #expect(fast.result.verdict == .met, "\(fast.result)")
    // Without a pass to go by, its speed is all there is.
    var first = situation(lag: 700, takes: nil)
    sending(&first, since: 20, done: 1000, of: 10_000, rate: 20)
    #expect(first.result.verdict == .atRisk)
    // Passes usually take 800 s: that this one began quickly says little.
    var usual = situation(lag: 700, takes: 800)
    sending(&usual, since: 20, done: 110, of: 10_000, rate: 11)
    #expect(usual.result.verdict == .atRisk)
  }

  @Test("a pass that stands still is unknown while there is time, and a risk when there is not")
  func stall() {
    for (lag, expected) in [(100.0, VMStatus.Forecast.Verdict.unknown), (650, .atRisk)] {
      var forecast = situation(lag: lag, takes: 60)
      sending(&forecast, since: 30, done: 50, of: 100, rate: 0)
      #expect(forecast.result.verdict == expected, "lag \(lag): \(forecast.result)")
      #expect(forecast.result.commitAt == nil)
    }
    for (elapsed, expected) in [(40.0, VMStatus.Forecast.Verdict.met), (200, .unknown)] {
      var forecast = situation(lag: 300, takes: 60)
      forecast.running = running("freeze", since: elapsed)
      forecast.track.look(at: forecast.running, nowSeconds: 0)
      #expect(forecast.result.verdict == expected, "a freeze for \(elapsed) s: \(forecast.result)")
    }
  }

  @Test("passes that fail are a risk before the last moment, and those that need a person at once")
  func failing() {
    for (lag, expected) in [(100.0, VMStatus.Forecast.Verdict.unknown), (601, .atRisk), (900, .missed)] {
      var forecast = situation(lag: lag, takes: 5, startsIn: 20)
      forecast.failure = failure("connect", .retryPass)
      forecast.failures = 1
      #expect(forecast.result.verdict == expected, "lag \(lag): \(forecast.result)")
      #expect(forecast.result.reason.contains("no pass has succeeded since \(Self.ago(lag))"))
    }
    var person = situation(lag: 10, takes: 5)
    person.failure = failure("offer", .stopVM)
    person.failures = 1
    #expect(person.result.verdict == .atRisk && person.result.reason.contains("until somebody acts"))
    person.failures = 0
    person.startsInSeconds = nil
    #expect(person.result.verdict == .atRisk, "it is gone: no pass is made of it at all")
    // A guest that was not thawed is no failed pass.
    var thaw = situation(lag: 601, takes: 5)
    thaw.failure = failure("freeze", .retryPass)
    #expect(thaw.result.verdict == .met)
    // The receiver went away in the middle of a pass that still tries.
    var interrupted = situation(lag: 650, takes: 5)
    interrupted.running = running("connect", since: 30)
    interrupted.track.look(at: interrupted.running, nowSeconds: 0)
    interrupted.failure = failure("send", .retryPass, ago: 10)
    #expect(interrupted.result.verdict == .atRisk)
  }

  @Test("objectives that passes cannot meet are called so before they are missed")
  func impossible() {
    var forecast = RPOForecast(now: Self.now, rpoSeconds: 10)
    forecast.newestFrozenAt = Self.ago(6)
    forecast.estimate = PassEstimate([.sample(seconds: 6)])
    forecast.startsInSeconds = 1
    forecast.lastBottleneck = .targetWrite
    let result = forecast.result
    #expect(result.verdict == .atRisk && result.lagSeconds == 13 && result.bottleneck == .targetWrite)
    #expect(result.reason.contains("the rpo ends in 4 s"))
    #expect(result.reason.hasSuffix("passes take 6 s, and an rpo of 10 s is shorter than two of them"))
  }

  @Test("the VM's next pass comes after a proof, and after a seed session in time")
  func afterCommit() {
    var proof = situation(lag: 700, takes: 50)
    for step in 0...10 {
      proof.track.look(
        at: running("prove", since: 100, done: Int64(step), of: 1000), nowSeconds: Double(step))
    }
    proof.running = running("prove", since: 100, done: 10, of: 1000)
    #expect(proof.result.verdict == .atRisk)
    var seed = situation(lag: 700, takes: 50)
    seed.running = running("seed", since: 100, done: 10, of: 1000)
    #expect(seed.result.verdict == .met)
  }

  @Test("a pass that follows another one at once is not measured from the other's beginning")
  func trackOfTwo() {
    var track = PassTrack()
    track.look(at: running("freeze", since: 100), nowSeconds: 0)
    track.look(at: running("send", since: 99, done: 10, of: 20), nowSeconds: 5)
    #expect(track.beganAt == Self.ago(100))
    track.look(at: running("freeze", since: 2), nowSeconds: 98)
    #expect(track.beganAt == Self.ago(2) && track.remainingSeconds == nil)
    track.look(at: nil, nowSeconds: 99)
    #expect(track.beganAt == nil)
  }

  @Test("a pass moves when it comes to another phase or deals with more bytes, not when it only lives")
  func moves() {
    var track = PassTrack()
    var moves: [Bool] = []
    for look in [
      running("freeze", since: 100), running("freeze", since: 100), running("send", since: 99),
      running("send", since: 99, done: 10, of: 20), running("send", since: 99, done: 10, of: 20), nil,
    ] {
      track.look(at: look, nowSeconds: Double(moves.count))
      moves.append(track.hasMoved)
    }
    #expect(moves == [true, false, true, true, false, false])
  }
}

@Suite struct ForecastEpisodeTests {
  @Test("a risk is told once, its end once, and what is unknown in between ends nothing")
  func once() {
    var episode = ForecastEpisode()
    var newest = WallTime(millisecondsSince1970: 1_800_000_000_000)
    func enter(_ verdicts: VMStatus.Forecast.Verdict...) -> [ForecastEpisode.Event?] {
      verdicts.map { episode.enter($0, newestFrozenAt: newest) }
    }
    #expect(enter(.met, .atRisk, .met, .met) == [nil, nil, nil, nil], "one look is none")
    #expect(enter(.atRisk, .atRisk, .atRisk) == [nil, .atRisk, nil])
    #expect(enter(.unknown, .unknown, .atRisk, .atRisk) == [nil, nil, nil, nil])
    #expect(enter(.missed, .missed, .atRisk, .atRisk, .missed) == [.missed, nil, nil, nil, nil])
    for look in 1...29 { #expect(enter(.met) == [nil], "\(look) looks without a new point") }
    #expect(enter(.met, .met) == [.over, nil])
    #expect(enter(.missed) == [.missed], "also when nobody saw it come")
    newest = WallTime(millisecondsSince1970: 1_800_000_900_000)
    #expect(enter(.met, .met, .met) == [nil, .over, nil], "a new point ends it")
  }
}
