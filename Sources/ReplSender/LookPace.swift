import ReplIO

/// When the next look for VMs is due: so long after the end of the last one, on the monotonic clock.
struct LookPace {
  private let time: any TimeSource
  private var deadline: Deadline

  init(seconds: Double, time: any TimeSource) {
    self.time = time
    deadline = Deadline(seconds: seconds, time: time)
  }

  var isDue: Bool { deadline.hasPassed }

  /// Counts anew from now.
  mutating func restart(seconds: Double) { deadline = Deadline(seconds: seconds, time: time) }
}
