/// The answer of `/status`.
public struct StatusDocument: Sendable, Codable {
  /// Which of the two daemons answered.
  public enum Role: String, Sendable, Codable { case sender, receiver }

  public var role: Role
  public var version: String
  /// False when it was read from disk because no daemon answered.
  public var daemonRunning: Bool
  public var generatedAt: WallTime
  public var vms: [VMStatus]
  /// What keeps the daemon from seeing everything, such as a watched folder that cannot be read; a sentence
  /// each, for people. Nil when nothing does.
  public var warnings: [String]?
  /// What all together send and may send; nil where nothing is limited or counted.
  public var bandwidth: BandwidthStatus?

  public init(role: Role, version: String, daemonRunning: Bool, generatedAt: WallTime, vms: [VMStatus]) {
    self.role = role
    self.version = version
    self.daemonRunning = daemonRunning
    self.generatedAt = generatedAt
    self.vms = vms
  }
}
