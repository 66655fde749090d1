import ReplIO
import ReplModel
import ReplTransport
import Synchronization

/// The bandwidth of a daemon: what all its connections may send together, what each VM may, by the time of
/// the week, and who comes first. Limits change at any time, under connections that are open.
///
/// Only what the sender sends is limited; the receiver's answers are small. `BandwidthArbiter` decides; here
/// threads wait, and rates are counted.
public final class BandwidthShare: Sendable {
  /// Whoever waits looks again after this at the latest: a limit that was changed is in force by then.
  private static let longestPauseSeconds = 0.1
  /// Timers are no finer than this.
  private static let shortestPauseSeconds = 0.0005
  /// How often the schedule is looked at.
  private static let lookNanoseconds: Int64 = 1_000_000_000

  private struct Lane {
    var plan = BandwidthPlan.unlimited
    var rule = BandwidthPlan.unlimited.rule(at: LocalMoment(weekday: .monday, minute: 0))
    var meter = RateMeter()
    var sentBytes: Int64 = 0
    /// Connections that go by it.
    var streamCount = 0

    func status(now: Int64) -> BandwidthStatus {
      BandwidthStatus(
        limitBytesPerSecond: rule.bytesPerSecond, window: rule.window.map { "\($0)" },
        bytesPerSecond: meter.bytesPerSecond(now: now), sentBytes: sentBytes)
    }
  }

  private struct State {
    var arbiter = BandwidthArbiter()
    var total = Lane()
    var lanes: [String: Lane] = [:]
    /// When the schedule was last looked at, monotonic; nil when it must be now.
    var lookedAt: Int64?
    var nextStream: UInt64 = 0
  }

  private let state: Monitor<State>
  private let time: any TimeSource
  private let localMoment: @Sendable (WallTime) -> LocalMoment

  /// `plan` is that of the daemon.
  public convenience init(plan: BandwidthPlan, time: any TimeSource) {
    self.init(plan: plan, time: time) { LocalTime($0).moment }
  }

  init(
    plan: BandwidthPlan, time: any TimeSource, localMoment: @escaping @Sendable (WallTime) -> LocalMoment
  ) {
    self.time = time
    self.localMoment = localMoment
    var first = State()
    first.total.plan = plan
    state = Monitor(first)
  }

  // MARK: - What holds

  /// The daemon's limit, from now on.
  public func use(_ plan: BandwidthPlan) {
    state.withLock { state in
      state.total.plan = plan
      state.lookedAt = nil
    }
  }

  /// A VM's own limit, from now on. `key` is its VMX path.
  public func use(_ plan: BandwidthPlan, for key: String) {
    state.withLock { state in
      guard state.lanes[key]?.plan != plan else { return }
      state.lanes[key, default: Lane()].plan = plan
      state.lookedAt = nil
    }
  }

  /// Forgets all VMs but these and those that are still sending.
  public func retain(_ keys: Set<String>) {
    state.withoutWaking { state in
      for (key, lane) in state.lanes where !keys.contains(key) && lane.streamCount == 0 {
        state.lanes[key] = nil
        state.arbiter.remove(lane: key)
      }
    }
  }

  /// When the VM's newest point will be older than its RPO allows; nil before the first point.
  public func set(deadline: WallTime?, for key: String) {
    state.withoutWaking { $0.arbiter.set(deadline: deadline, of: key) }
  }

  /// What holds now, and what is sent, by all together.
  public var status: BandwidthStatus {
    let now = time.monotonicNanoseconds()
    return state.withoutWaking { state in
      look(&state, now: now)
      return state.total.status(now: now)
    }
  }

  /// Of one VM; nil when it has neither a limit of its own nor sent anything.
  public func status(for key: String) -> BandwidthStatus? {
    let now = time.monotonicNanoseconds()
    return state.withoutWaking { state in
      look(&state, now: now)
      return state.lanes[key]?.status(now: now)
    }
  }

  /// The limits of this moment of the week, by the clock on the wall: looked at once a second, so that a
  /// clock or a time zone that is changed is followed.
  private func look(_ state: inout State, now: Int64) {
    if let at = state.lookedAt, now >= at, now - at < Self.lookNanoseconds { return }
    state.lookedAt = now
    let moment = localMoment(time.wallTime())
    state.total.rule = state.total.plan.rule(at: moment)
    state.arbiter.set(rate: state.total.rule.bytesPerSecond, now: now)
    for key in state.lanes.keys {
      guard let rule = state.lanes[key]?.plan.rule(at: moment) else { continue }
      state.lanes[key]?.rule = rule
      state.arbiter.set(rate: rule.bytesPerSecond, of: key, now: now)
    }
  }

  // MARK: - Sending

  /// The pace of one connection of a VM.
  public func makePace(for key: String) -> any SendPace {
    let number = state.withoutWaking { state in
      if state.lanes[key] == nil { state.lanes[key] = Lane() }
      state.lanes[key]?.streamCount += 1
      state.nextStream += 1
      return state.nextStream
    }
    return Stream(share: self, number: number, lane: key)
  }

  /// One connection.
  private final class Stream: SendPace {
    let share: BandwidthShare
    let number: UInt64
    let lane: String
    private let released = Atomic<Bool>(false)

    init(share: BandwidthShare, number: UInt64, lane: String) {
      (self.share, self.number, self.lane) = (share, number, lane)
    }

    deinit { share.state.withoutWaking { $0.lanes[lane]?.streamCount -= 1 } }

    var isReleased: Bool { released.load(ordering: .acquiring) }

    func waitForTurn(_ byteCount: Int) -> Int { share.waitForTurn(self, byteCount) }

    func noteSent(grantedBytes: Int, wireBytes: Int64) {
      share.noteSent(lane: lane, grantedBytes: grantedBytes, wireBytes: wireBytes)
    }

    func release() {
      released.store(true, ordering: .releasing)
      // Wakes whoever waits.
      share.state.withLock { _ in }
    }
  }

  private func waitForTurn(_ stream: Stream, _ byteCount: Int) -> Int {
    var pause = 0.0
    var hasAsked = false
    while true {
      let count = state.wait(seconds: pause) { state -> Int? in
        let now = time.monotonicNanoseconds()
        look(&state, now: now)
        if !hasAsked { state.arbiter.ask(stream.number, of: stream.lane, byteCount: byteCount) }
        hasAsked = true
        state.arbiter.distribute(now: now)
        if let count = state.arbiter.takeGrant(stream.number) { return count }
        let wanted = state.arbiter.pauseSeconds(of: stream.lane)
        pause = min(max(wanted, Self.shortestPauseSeconds), Self.longestPauseSeconds)
        guard stream.isReleased else { return nil }
        state.arbiter.withdraw(stream.number)
        state.arbiter.charge(Int64(byteCount), to: stream.lane)
        return byteCount
      }
      if let count { return count }
    }
  }

  private func noteSent(lane: String, grantedBytes: Int, wireBytes: Int64) {
    let now = time.monotonicNanoseconds()
    state.withoutWaking { state in
      look(&state, now: now)
      state.arbiter.charge(wireBytes - Int64(grantedBytes), to: lane)
      guard wireBytes > 0 else { return }
      state.total.meter.add(wireBytes, now: now)
      state.total.sentBytes += wireBytes
      state.lanes[lane]?.meter.add(wireBytes, now: now)
      state.lanes[lane]?.sentBytes += wireBytes
    }
  }
}
