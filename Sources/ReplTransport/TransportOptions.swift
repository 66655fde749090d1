import ReplModel
import ReplProtocol

/// What both ends of a connection are told by their program.
public struct TransportOptions: Sendable {
  /// Product and protocol versions, sent first.
  public var banner: Banner
  /// Which program this is, for the sentence about versions that do not fit.
  public var program: Banner.Program
  /// What is accepted from the peer, and what is sent at most.
  public var limits: ProtocolLimits
  /// A peer that takes no data for this long is given up.
  public var sendStallSeconds: Double
  /// When data may go out; nil for at once. One for each connection.
  public var pace: (any SendPace)?

  /// The defaults are those of the wire protocol page.
  public init(
    banner: Banner, program: Banner.Program, limits: ProtocolLimits = .standard,
    sendStallSeconds: Double = ProtocolTimeouts.idleSeconds
  ) {
    self.banner = banner
    self.program = program
    self.limits = limits
    self.sendStallSeconds = sendStallSeconds
  }
}
