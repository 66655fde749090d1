import ReplIO
import ReplModel
import Synchronization

/// Runs the passes of all VMs when they are due: those closest to missing their objective first, no two of
/// one VM at once, a limit on all together. VMs may come and go while it runs.
public final class PassScheduler: Sendable {
  /// One VM as the scheduler sees it.
  public struct Entry: Sendable, Hashable {
    /// The VMX path.
    public let key: String
    public let terms: PassTerms
    /// The age of its newest point, where it has one: for its place among the others at the start.
    public let pointAgeSeconds: Double?

    public init(key: String, terms: PassTerms, pointAgeSeconds: Double? = nil) {
      self.key = key
      self.terms = terms
      self.pointAgeSeconds = pointAgeSeconds
    }
  }

  /// How one pass ended.
  public enum Outcome: Sendable {
    /// The next one is expected to take so long; nil where nobody knows.
    case committed(expectedSeconds: Double?)
    case failed(Remedy, retryAfterSeconds: Double?)
  }

  private let schedule: Mutex<PassSchedule<String>>
  private let time: any TimeSource
  private let perform: @Sendable (String) async -> Outcome

  /// `perform` runs one pass of the VM with that key.
  public init(
    entries: [Entry], limit: Int, time: any TimeSource, perform: @escaping @Sendable (String) async -> Outcome
  ) {
    schedule = Mutex(PassSchedule(limit: limit))
    self.time = time
    self.perform = perform
    for entry in entries { add(entry) }
  }

  private var nowSeconds: Double { Double(time.monotonicNanoseconds()) / 1e9 }

  /// A new VM is due at once; one that is there gets the terms.
  public func add(_ entry: Entry) {
    let now = nowSeconds
    schedule.withLock {
      $0.add(entry.key, terms: entry.terms, pointAgeSeconds: entry.pointAgeSeconds, nowSeconds: now)
    }
  }

  /// No more passes of this VM; one that runs goes on to its end.
  public func remove(_ key: String) { schedule.withLock { $0.remove(key) } }

  /// Adds and removes, so that passes are made of exactly these VMs.
  public func replace(with entries: [Entry]) {
    let wanted = Set(entries.map(\.key))
    for key in keys where !wanted.contains(key) { remove(key) }
    for entry in entries { add(entry) }
  }

  /// The VMs that passes are made of.
  public var keys: Set<String> { schedule.withLock { $0.keys } }

  /// The pass of this VM has got on. To be told about every pass that does, every few seconds: one that hangs
  /// keeps no place from others.
  public func noteMoved(_ key: String) {
    let now = nowSeconds
    schedule.withLock { $0.noteMoved(key, nowSeconds: now) }
  }

  /// Whether a VM is due and waits for the pass of another one to end: work that can wait (a seed session)
  /// gives way then.
  public var isPlaceWanted: Bool {
    let now = nowSeconds
    return schedule.withLock { $0.isPlaceWanted(nowSeconds: now) }
  }

  /// In how many seconds the next pass of each VM is expected to start, and what it waits for.
  public var outlook: [String: (startsInSeconds: Double, isPlaceMissing: Bool, failures: Int)] {
    let now = nowSeconds
    return schedule.withLock { $0.outlook(nowSeconds: now) }.mapValues {
      (max(0, $0.startsAtSeconds - now), $0.isPlaceMissing, $0.failures)
    }
  }

  /// Runs until the task is cancelled; passes that run then are waited for (they end early by the stop
  /// signal).
  public func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        while let key = takeDue() {
          group.addTask { await self.runPasses(from: key) }
        }
        let now = nowSeconds
        let pause = min(schedule.withLock { $0.secondsUntilDue(nowSeconds: now) } ?? 1, 1)
        // Cancellation ends the pause; the loop sees it.
        try? await Task.sleep(for: .seconds(max(pause, 0.05)))
      }
    }
  }

  private func takeDue() -> String? {
    let now = nowSeconds
    return schedule.withLock { $0.takeDue(nowSeconds: now) }
  }

  /// Whoever waits for a place gets it when the pass ends, not at the loop's next look.
  private func runPasses(from first: String) async {
    var next: String? = first
    while let key = next {
      await runPass(key)
      next = Task.isCancelled ? nil : takeDue()
    }
  }

  private func runPass(_ key: String) async {
    let started = nowSeconds
    let outcome = await perform(key)
    let now = nowSeconds
    schedule.withLock { schedule in
      switch outcome {
      case .committed(let expected):
        schedule.committed(key, startedSeconds: started, expectedSeconds: expected, nowSeconds: now)
      case .failed(let remedy, let retryAfter):
        schedule.failed(
          key, remedy: remedy, retryAfterSeconds: retryAfter, jitter: .random(in: 0..<1), nowSeconds: now)
      }
    }
  }
}
