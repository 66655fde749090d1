import ReplIO
import ReplModel
import ReplProtocol

/// How many passes run at once at the receiver. Others wait for their turn on their connection, which is
/// quicker than coming again: the peer with the fewest passes running goes first, then who waits longest.
///
/// A peer that has no pass running never waits for those of others, however long these take. A pass that
/// takes long (a first copy) gives its place to others, as at the sender: as many long ones again may run.
final class PassQueue: Sendable {
  private struct Running {
    let peer: String
    let sinceNanoseconds: Int64
  }

  private struct State {
    /// By ticket.
    var running: [UInt64: Running] = [:]
    /// In the order of their coming.
    var waiting: [(ticket: UInt64, peer: String)] = []
    /// Those that run and have not learned of it yet.
    var granted: Set<UInt64> = []
    var nextTicket: UInt64 = 0
  }

  /// Passes that run, of one peer or of all.
  private struct Count {
    var all = 0
    /// Those that do not take long.
    var short = 0

    /// Whether one more may run.
    func hasRoom(_ limit: Int) -> Bool { short < limit && all < 2 * limit }
  }

  /// One place; to be given back.
  struct Place: Sendable {
    fileprivate let ticket: UInt64
  }

  private let state = Monitor(State())
  private let limits: TargetLimits
  private let waitSeconds: Double
  private let time: any TimeSource

  init(
    limits: TargetLimits, waitSeconds: Double = TargetLimits.queueSeconds, time: any TimeSource = SystemTime()
  ) {
    self.limits = limits
    self.waitSeconds = waitSeconds
    self.time = time
  }

  /// Waits for a place. `isOver` is asked a few times a second whether it is of any use still.
  func enter(_ peer: String, isOver: () -> Bool) throws(PassError) -> Place {
    let deadline = Deadline(seconds: waitSeconds)
    let ticket = state.withLock { state in
      state.nextTicket += 1
      state.waiting.append((state.nextTicket, peer))
      return state.nextTicket
    }
    while true {
      let pause = min(0.25, Double(deadline.remainingMilliseconds) / 1000)
      let isGranted: Bool? = state.wait(seconds: pause) { state in
        // Also without anybody's leaving: a pass that has become a long one gives its place away.
        grant(&state)
        return state.granted.remove(ticket) == nil ? nil : true
      }
      if isGranted != nil { return Place(ticket: ticket) }
      guard !deadline.hasPassed, !isOver() else { break }
    }
    let refusal = state.withLock { state -> PassError? in
      state.waiting.removeAll { $0.ticket == ticket }
      return state.granted.remove(ticket) == nil ? self.refusal(peer, state) : nil
    }
    if let refusal { throw refusal }
    return Place(ticket: ticket)
  }

  private func refusal(_ peer: String, _ state: State) -> PassError {
    let (own, total) = counts(state, of: peer)
    let isOwn = !own.hasRoom(limits.passesPerPeer)
    let (count, whose) = isOwn ? (own.all, "of this sender ") : (total.all, "")
    let limit =
      isOwn ? "limits.passes_per_peer is \(limits.passesPerPeer)" : "limits.passes is \(limits.passes)"
    return .refused(
      .busy,
      "\(count) passes \(whose)run here already (\(limit) at the receiver), and none made room within "
        + "\(Int(waitSeconds)) s",
      retryAfterSeconds: 5)
  }

  /// The pass is over.
  func leave(_ place: Place) {
    state.withLock { state in
      state.running[place.ticket] = nil
      grant(&state)
    }
  }

  /// How many run now, and how many wait.
  var counts: (running: Int, waiting: Int) { state.withLock { ($0.running.count, $0.waiting.count) } }

  private func grant(_ state: inout State) {
    while let index = next(state) {
      let (ticket, peer) = state.waiting.remove(at: index)
      state.running[ticket] = Running(peer: peer, sinceNanoseconds: time.monotonicNanoseconds())
      state.granted.insert(ticket)
    }
  }

  /// The place in the queue of who goes next; nil while nobody may.
  private func next(_ state: State) -> Int? {
    var best: (index: Int, running: Int)?
    for (index, entry) in state.waiting.enumerated() {
      let (own, total) = counts(state, of: entry.peer)
      guard own.hasRoom(limits.passesPerPeer), own.all == 0 || total.hasRoom(limits.passes) else { continue }
      if best.map({ own.all < $0.running }) ?? true { best = (index, own.all) }
    }
    return best?.index
  }

  private func counts(_ state: State, of peer: String) -> (own: Count, total: Count) {
    let longSince = time.monotonicNanoseconds() - Int64(TargetLimits.longPassSeconds * 1e9)
    var (own, total) = (Count(), Count())
    for pass in state.running.values {
      let short = pass.sinceNanoseconds > longSince ? 1 : 0
      total.all += 1
      total.short += short
      guard pass.peer == peer else { continue }
      own.all += 1
      own.short += short
    }
    return (own, total)
  }
}
