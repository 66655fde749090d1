import Logging
import ReplCommand
import ReplModel

/// The configuration of `repl-receiver`, checked: what is in a value of this type can be used as it is.
public struct ReceiverConfig: Sendable, Hashable {
  /// A directory that holds standbys.
  public struct Store: Sendable, Hashable {
    public let name: String
    /// Absolute; beneath no other store.
    public let path: String
  }

  /// A sender that may connect.
  public struct Peer: Sendable, Hashable {
    public let name: String
    /// One, or several while its key is being changed.
    public let fingerprints: [Fingerprint]
    /// The store for its new standbys; nil means the first one.
    public let store: String?
  }

  /// Senders that may connect because a CA signed for one of these names.
  public struct Authority: Sendable, Hashable {
    public let caFile: String
    public let allowedNames: [String]
  }

  /// What failover runs, in this order.
  public struct Failover: Sendable, Hashable {
    /// What the commands may hold in braces: the path of the standby's VMX, its display name, its directory,
    /// and what the register command printed.
    public static let placeholders = ["vmx", "name", "directory", "id"]

    public let register: CommandTemplate?
    public let powerOn: CommandTemplate?
    /// For each of the two.
    public let deadlineSeconds: Double
  }

  /// Where senders connect; port 0 takes any free port.
  public let listen: NetworkAddress
  /// Keys, digest maps and locks; mode 0700.
  public let stateDirectory: String
  /// At least one.
  public let stores: [Store]
  /// Where status and metrics are served; nil when they are off. A loopback address.
  public let http: NetworkAddress?
  public let peers: [Peer]
  public let authority: Authority?
  /// The source's network name to the name at this site; every other network stays disconnected.
  public let networks: [String: String]
  /// Appended to the display name of a standby; may be empty.
  public let displayNameSuffix: String
  /// The lag above which status and metrics call a VM late.
  public let rpoSeconds: Double
  /// Passes are refused when a store would have less than this left, bytes.
  public let freeSpaceFloorBytes: Int64
  /// Bytes that the journal of one pass may have; nil: half of what is free above the floor.
  public let journalBudgetBytes: Int64?
  public let maximumConnections: Int
  public let logLevel: Logger.Level
  public let failover: Failover
  public let limits: Limits
  /// Which recovery points are kept.
  public let retention: Retention
  /// Nil: standbys are read again only by command.
  public let verify: Verify?
  /// VMs with settings of their own.
  public let vms: [VM]

  /// Reads and checks a file of at most 1 MiB. The error holds every problem with its line and column.
  public static func load(path: String) throws(ConfigError) -> ReceiverConfig {
    try parse(ConfigFile.read(path: path), path: path)
  }

  /// Checks a text; `path` is for messages.
  public static func parse(_ text: String, path: String) throws(ConfigError) -> ReceiverConfig {
    try parse(Array(text.utf8), path: path)
  }

  /// Checks the bytes of a file; `path` is for messages.
  public static func parse(_ bytes: [UInt8], path: String) throws(ConfigError) -> ReceiverConfig {
    let document = try ConfigDocument.parse(bytes, path: path)
    let reader = ConfigReader()
    let config = ReceiverConfigSchema(reader: reader).config(document.root)
    try reader.finish(path: path)
    guard let config else { throw ConfigError.unexplained(path: path) }
    return config
  }
}
