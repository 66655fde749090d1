import ReplCompression
import ReplSource
import Synchronization

/// Keeps the codec's level of one stream in line with what its pass waits for (`CodecLadder`).
final class CodecTuning: Sendable {
  /// Shorter times say little.
  private static let leastSeconds = 0.5

  private struct State {
    var ladder: CodecLadder
    var at: Int64
    var reading: StageReading
  }

  private let state: Mutex<State>
  private let times: StageTimes
  private let isLate: @Sendable () -> Bool

  /// `isLate` tells whether the pass, as it goes, ends after its RPO is broken.
  init(codec: Codec, times: StageTimes, isLate: @escaping @Sendable () -> Bool) {
    self.times = times
    self.isLate = isLate
    state = Mutex(
      State(
        ladder: CodecLadder(codec: codec, threadCount: PageScan.Limits.codecThreadCount), at: times.now,
        reading: times.reading))
  }

  /// To be called now and then from the thread that sends; sets the level of `scan` when it is time to
  /// decide.
  func apply(to scan: PageScan) {
    let now = times.now
    state.withLock { state in
      let elapsed = Double(now - state.at) / 1e9
      guard elapsed >= Self.leastSeconds else { return }
      let reading = times.reading
      // Only the receiver tells a slow link from a receiver that is busy, with its acknowledgements.
      guard let busy = reading.targetBusySeconds, busy != state.reading.targetBusySeconds else { return }
      let (then, since) = (state.reading.stages, reading.stages)
      state.ladder.decide(
        CodecLadder.Observation(
          elapsed: elapsed, link: since.link - then.link,
          starved: reading.waits.writer - state.reading.waits.writer,
          codec: reading.codecSeconds - state.reading.codecSeconds, isLate: isLate()))
      (state.at, state.reading) = (now, reading)
      scan.setLevel(state.ladder.level)
    }
  }

  /// What is compressed with now; nil for raw.
  var level: Int? { state.withLock { $0.ladder.level } }
}
