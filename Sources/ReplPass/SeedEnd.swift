import ReplIO
import ReplModel
import ReplSource

/// Watches, beside a seed session, for what ends it in order: its deadline, the end of the daemon, somebody
/// who needs its place, a view that changed.
final class SeedEnd: Sendable {
  /// At least so long a session goes on when its place is wanted: a sender that is always busy must still
  /// get on with its seeds.
  static let leastSeconds = 5.0
  private static let lookSeconds = 0.1
  /// Between two looks at the view's files.
  private static let viewSeconds = 2.0
  /// How long an orderly end may take: what is under way arrives, the receiver makes it durable.
  private static let graceSeconds = 20.0
  /// A daemon that ends is given five seconds by its own limit.
  private static let graceAtStopSeconds = 2.0

  /// The session must come to its end.
  let isDue = StopSignal()
  /// It has not: the connection is to be cut.
  let isOverdue = StopSignal()
  private let view: VMView
  private let stop: StopSignal
  private let mustYield: @Sendable () -> Bool
  private let time: any TimeSource
  private let deadline: Deadline
  private let isOver = Monitor(false)
  private let thread = Monitor<NamedThread?>(nil)

  init(
    view: VMView, deadlineSeconds: Double, stop: StopSignal, mustYield: @escaping @Sendable () -> Bool,
    time: any TimeSource
  ) {
    self.view = view
    self.stop = stop
    self.mustYield = mustYield
    self.time = time
    deadline = Deadline(seconds: max(0, deadlineSeconds), time: time)
  }

  /// Looks once, then again and again until `end`.
  func begin() throws(PassError) {
    if stop.isSet || deadline.hasPassed { isDue.set() }
    let watching = try NamedThread.ofPass("seed-end") { [self] in watch() }
    thread.withLock { $0 = watching }
  }

  /// Ends the thread and waits for it.
  func end() {
    isOver.withLock { $0 = true }
    thread.withLock { thread -> NamedThread? in
      defer { thread = nil }
      return thread
    }?.join()
  }

  private func watch() {
    let least = Deadline(seconds: Self.leastSeconds, time: time)
    var nextView = Deadline(seconds: Self.viewSeconds, time: time)
    while !isDue.isSet {
      if isOver.wait(seconds: Self.lookSeconds, { $0 ? true : nil }) != nil { return }
      var isWanted = stop.isSet || deadline.hasPassed || (least.hasPassed && mustYield())
      if nextView.hasPassed {
        nextView = Deadline(seconds: Self.viewSeconds, time: time)
        isWanted = isWanted || hasViewChanged
      }
      if isWanted { isDue.set() }
    }
    let grace = Deadline(seconds: Self.graceSeconds, time: time)
    var graceAtStop: Deadline?
    while isOver.wait(seconds: Self.lookSeconds, { $0 ? true : nil }) == nil {
      if stop.isSet, graceAtStop == nil {
        graceAtStop = Deadline(seconds: Self.graceAtStopSeconds, time: time)
      }
      if grace.hasPassed || graceAtStop?.hasPassed == true { return isOverdue.set() }
    }
  }

  private var hasViewChanged: Bool {
    do throws(SourceError) {
      try view.checkUnchanged()
      return false
    } catch {
      return true
    }
  }
}
