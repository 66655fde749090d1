import ReplIO

/// When the next look for VMs is due: so long after the end of the last one, on the monotonic clock.
struct LookPace {
  private let seconds: Double
  private let time: any TimeSource
  private var deadline: Deadline

  init(seconds: Double, time: any TimeSource) {
    self.seconds = seconds
    self.time = time
    deadline = Deadline(seconds: seconds, time: time)
  }

  var isDue: Bool { deadline.hasPassed }

  /// Counts anew from now.
  mutating func restart() { deadline = Deadline(seconds: seconds, time: time) }
}
