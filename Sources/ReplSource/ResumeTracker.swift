import Synchronization

/// Knows up to where a scan is finished: every leaf below the position was scanned and everything found in it
/// was acknowledged. A pass that is cut off goes on from there while its view lives.
///
/// Whatever is under way (a leaf in a worker's hands, a batch that is open, queued or unacknowledged) is held
/// under a token with the lowest leaf it concerns.
public final class ResumeTracker: Sendable {
  /// Stands for one thing that is under way.
  public struct Token: Hashable, Sendable { let number: UInt64 }

  private struct State {
    var nextLeaf: Int64
    var isEnding = false
    var nextToken: UInt64 = 0
    var held: [Token: Int64] = [:]
  }

  private let state: Mutex<State>
  let leafCount: Int64

  /// Leaves are numbered across all disks of the pass, disk after disk. Those below `first` are left out.
  public init(leafCount: Int64, startingAt first: Int64 = 0) {
    self.leafCount = leafCount
    state = Mutex(State(nextLeaf: min(max(0, first), leafCount)))
  }

  /// Takes the next leaf under a new token; nil at the end, and after `stopTaking`. Leaves below `least` hold
  /// nothing and count as scanned.
  func take(atOrAfter least: Int64 = 0) -> (leaf: Int64, token: Token)? {
    state.withLock { state in
      let leaf = max(state.nextLeaf, least)
      guard leaf < leafCount, !state.isEnding else { return nil }
      state.nextLeaf = leaf + 1
      return (leaf, Self.hold(leaf, &state))
    }
  }

  /// No further leaf is taken: a scan ends in order with what its readers hold, before the last leaf.
  public func stopTaking() { state.withLock { $0.isEnding = true } }

  /// Nothing is left to scan.
  func skipToEnd() { state.withLock { $0.nextLeaf = leafCount } }

  /// Keeps the position from passing `leaf` until the token is released.
  public func hold(_ leaf: Int64) -> Token { state.withLock { Self.hold(leaf, &$0) } }

  private static func hold(_ leaf: Int64, _ state: inout State) -> Token {
    let token = Token(number: state.nextToken)
    state.nextToken += 1
    state.held[token] = leaf
    return token
  }

  /// Called when a batch is acknowledged or a leaf is done with.
  public func release(_ token: Token) { state.withLock { _ = $0.held.removeValue(forKey: token) } }

  /// The first leaf that is not wholly dealt with.
  public var position: Int64 { state.withLock { Self.position($0) } }

  /// A scan that went back is below what is still held of the one before.
  private static func position(_ state: State) -> Int64 {
    min(state.held.values.min() ?? state.nextLeaf, state.nextLeaf)
  }

  /// How far the scan has come, for progress.
  public var scannedLeaves: Int64 { state.withLock { $0.nextLeaf } }

  /// Scans again from `leaf` on, whatever was scanned behind it; what is under way stays held.
  public func goBack(to leaf: Int64) { state.withLock { $0.nextLeaf = min($0.nextLeaf, max(0, leaf)) } }

  /// Starts again from `position`; everything that was held is forgotten, because its connection is gone.
  public func rewind() {
    state.withLock { state in
      state.nextLeaf = Self.position(state)
      state.held.removeAll()
    }
  }
}
