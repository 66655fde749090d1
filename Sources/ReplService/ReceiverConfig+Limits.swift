extension ReceiverConfig {
  /// What one sender, and all of them, may ask of the receiver at a time.
  public struct Limits: Sendable, Hashable {
    /// Connections of one peer, idle ones included.
    public var connectionsPerPeer = 32
    /// Passes at the same time; the others wait for their turn.
    public var passes = 16
    /// Passes of one peer at the same time; never more than `passes`.
    public var passesPerPeer = 8
    /// Standbys of one peer; more are not made.
    public var vmsPerPeer = 4000

    public init() {}
  }
}
