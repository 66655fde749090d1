import ReplIO
import ReplModel

/// Runs the passes of all VMs when they are due: oldest lag first, no two of one VM at once, a limit on all
/// together.
public actor PassScheduler {
  /// One VM as the scheduler sees it.
  public struct Entry: Sendable, Hashable {
    /// The VMX path of the configuration.
    public let key: String
    public let intervalSeconds: Double

    public init(key: String, intervalSeconds: Double) {
      self.key = key
      self.intervalSeconds = intervalSeconds
    }
  }

  /// How one pass ended.
  public enum Outcome: Sendable {
    case committed
    case failed(Remedy, retryAfterSeconds: Double?)
  }

  private var schedule: PassSchedule<String>
  private let time: any TimeSource
  private let perform: @Sendable (String) async -> Outcome

  public init(
    entries: [Entry], limit: Int, time: any TimeSource, perform: @escaping @Sendable (String) async -> Outcome
  ) {
    schedule = PassSchedule(limit: limit)
    self.time = time
    self.perform = perform
    let now = Double(time.monotonicNanoseconds()) / 1e9
    for entry in entries { schedule.add(entry.key, intervalSeconds: entry.intervalSeconds, nowSeconds: now) }
  }

  private var nowSeconds: Double { Double(time.monotonicNanoseconds()) / 1e9 }

  /// Runs until the task is cancelled; passes that run then are waited for (they end early by the stop
  /// signal).
  public func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        while let key = schedule.takeDue(nowSeconds: nowSeconds) {
          group.addTask { await self.runPass(key) }
        }
        let pause = min(schedule.secondsUntilDue(nowSeconds: nowSeconds) ?? 1, 1)
        // Cancellation ends the pause; the loop sees it.
        try? await Task.sleep(for: .seconds(max(pause, 0.05)))
      }
    }
  }

  private func runPass(_ key: String) async {
    let started = nowSeconds
    switch await perform(key) {
    case .committed:
      schedule.committed(key, startedSeconds: started, nowSeconds: nowSeconds)
    case .failed(let remedy, let retryAfter):
      schedule.failed(
        key, remedy: remedy, retryAfterSeconds: retryAfter, jitter: .random(in: 0..<1), nowSeconds: nowSeconds
      )
    }
  }
}
