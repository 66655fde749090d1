/// The commands that register a VM at the DR site and power it on; nil where the operator configured none.
///
/// Each is a function from what is known of the VM to an argument list, so that placeholders are the
/// configuration's affair and never this module's.
public struct FailoverCommands: Sendable {
  /// What an argument list may be built from.
  public struct Values: Sendable {
    /// Absolute path of the stub, and of the folder it lies in.
    public let vmx: String
    public let directory: String
    public let name: String
    /// What the register command printed, without white space around it; empty before.
    public let id: String
  }

  public let register: (@Sendable (Values) -> [String])?
  public let powerOn: (@Sendable (Values) -> [String])?
  /// For each of the two.
  public let deadlineSeconds: Double

  public init(
    register: (@Sendable (Values) -> [String])?, powerOn: (@Sendable (Values) -> [String])?,
    deadlineSeconds: Double
  ) {
    self.register = register
    self.powerOn = powerOn
    self.deadlineSeconds = deadlineSeconds
  }
}
