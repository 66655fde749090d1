import ReplModel
import ReplProtocol
import ReplTransport
import Synchronization

/// What one sender, and all of them, may ask of a receiver at a time.
public struct TargetLimits: Sendable, Hashable {
  /// Connections of one peer, idle ones included.
  public let connectionsPerPeer: Int
  /// Passes at the same time; a peer without one is never kept waiting by those of others. As many again may
  /// run that take long.
  public let passes: Int
  /// Passes of one peer at the same time. As many again may run that take long.
  public let passesPerPeer: Int
  /// Standbys of one peer; more are not made.
  public let vmsPerPeer: Int

  /// How long a pass waits for its turn before its sender is told to come again. Together with the wait for
  /// the session before it, less than what the sender gives its offer.
  static let queueSeconds: Double = 120
  /// A pass that runs longer gives its place to others: the same as `PassSchedule` does at the sender, whose
  /// further passes would all be refused otherwise.
  static let longPassSeconds: Double = PassSchedule<String>.longPassSeconds

  public init(
    connectionsPerPeer: Int = 32, passes: Int = 16, passesPerPeer: Int = 8, vmsPerPeer: Int = 4000
  ) {
    self.connectionsPerPeer = connectionsPerPeer
    self.passes = passes
    self.passesPerPeer = passesPerPeer
    self.vmsPerPeer = vmsPerPeer
  }

  /// What the listener is told: one address may have as many connections as one peer, of the `total`.
  public func caps(total: Int) -> Listener.Caps {
    Listener.Caps(total: total, perAddress: min(total, max(16, connectionsPerPeer)))
  }
}

/// The connections that each peer has.
final class PeerConnections: Sendable {
  private let counts = Mutex<[String: Int]>([:])
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// Runs `body` as one of the peer's connections, unless it has too many.
  func during(_ peer: String, _ body: () throws(PassError) -> Void) throws(PassError) {
    let isIn = counts.withLock { counts -> Bool in
      guard counts[peer, default: 0] < limit else { return false }
      counts[peer, default: 0] += 1
      return true
    }
    guard isIn else {
      throw .refused(
        .busy, "\(limit) connections of this sender are open already (limits.connections_per_peer)",
        retryAfterSeconds: 10)
    }
    defer {
      counts.withLock { counts in
        let count = counts[peer, default: 1] - 1
        counts[peer] = count > 0 ? count : nil
      }
    }
    try body()
  }
}
