import ReplIO
import ReplModel
import ReplProtocol

/// How many passes run at once at the receiver. Others wait for their turn on their connection, which is
/// quicker than coming again: the peer with the fewest passes running goes first, then who waits longest.
///
/// A peer that has no pass running never waits for those of others, however long these take.
final class PassQueue: Sendable {
  private struct State {
    var running: [String: Int] = [:]
    var total = 0
    /// In the order of their coming.
    var waiting: [(ticket: UInt64, peer: String)] = []
    var granted: Set<UInt64> = []
    var nextTicket: UInt64 = 0
  }

  /// One place; to be given back.
  struct Place: Sendable {
    fileprivate let peer: String
  }

  private let state = Monitor(State())
  private let limits: TargetLimits
  private let waitSeconds: Double

  init(limits: TargetLimits, waitSeconds: Double = TargetLimits.queueSeconds) {
    self.limits = limits
    self.waitSeconds = waitSeconds
  }

  /// Waits for a place. `isOver` is asked a few times a second whether it is of any use still.
  func enter(_ peer: String, isOver: () -> Bool) throws(PassError) -> Place {
    let deadline = Deadline(seconds: waitSeconds)
    let ticket = state.withLock { state in
      state.nextTicket += 1
      state.waiting.append((state.nextTicket, peer))
      grant(&state)
      return state.nextTicket
    }
    while true {
      if state.wait(seconds: 0.25, { $0.granted.remove(ticket) }) != nil { return Place(peer: peer) }
      guard !deadline.hasPassed, !isOver() else { break }
    }
    let isGranted = state.withLock { state -> Bool in
      state.waiting.removeAll { $0.ticket == ticket }
      return state.granted.remove(ticket) != nil
    }
    if isGranted { return Place(peer: peer) }
    throw .refused(
      .busy,
      "\(limits.passes) passes run here already, \(limits.passesPerPeer) of one sender at most "
        + "(limits.passes, limits.passes_per_peer at the receiver), and none ended for \(Int(waitSeconds)) s",
      retryAfterSeconds: 5)
  }

  /// The pass is over.
  func leave(_ place: Place) {
    let peer = place.peer
    state.withLock { state in
      let count = state.running[peer, default: 1] - 1
      state.running[peer] = count > 0 ? count : nil
      state.total -= 1
      grant(&state)
    }
  }

  /// How many run now, and how many wait.
  var counts: (running: Int, waiting: Int) { state.withLock { ($0.total, $0.waiting.count) } }

  private func grant(_ state: inout State) {
    while let index = next(state) {
      let (ticket, peer) = state.waiting.remove(at: index)
      state.running[peer, default: 0] += 1
      state.total += 1
      state.granted.insert(ticket)
    }
  }

  /// The place in the queue of who goes next; nil while nobody may.
  private func next(_ state: State) -> Int? {
    var best: (index: Int, running: Int)?
    for (index, entry) in state.waiting.enumerated() {
      let running = state.running[entry.peer, default: 0]
      guard running < limits.passesPerPeer, running == 0 || state.total < limits.passes else { continue }
      if best.map({ running < $0.running }) ?? true { best = (index, running) }
    }
    return best?.index
  }
}
