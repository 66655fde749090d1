import Logging
import ReplModel

/// The configuration of `repl-sender`, checked: what is in a value of this type can be used as it is.
public struct SenderConfig: Sendable, Hashable {
  /// Where passes go and how the receiver is recognised.
  public struct Receiver: Sendable, Hashable {
    public let address: NetworkAddress
    public let trust: PeerTrust
  }

  /// How page data is compressed. `auto`: the best codec that both sides have.
  public enum Compression: String, Sendable, CaseIterable {
    case auto, zlib, zstd, none
  }

  /// Makes a VM's disks stand still while they are read.
  public enum FreezeProvider: String, Sendable, CaseIterable {
    /// Reads the disks as they are; right for VMs that are off.
    case none
  }

  /// How a view of one VM is frozen.
  public struct Freeze: Sendable, Hashable {
    public let provider: FreezeProvider
    /// Whether a point read from disks that somebody may have been writing to is committed, labelled fuzzy.
    public let allowFuzzy: Bool

    public static let standard = Freeze(provider: .none, allowFuzzy: false)
  }

  /// One replicated VM.
  public struct VM: Sendable, Hashable {
    /// The path of its VMX file, absolute.
    public let vmxPath: String
    /// A name for people instead of the VMX's own display name.
    public let name: String?
    public let intervalSeconds: Double
    public let rpoSeconds: Double
    public let freeze: Freeze
  }

  /// Keys, digest maps and locks; mode 0700.
  public let stateDirectory: String
  public let receiver: Receiver
  /// Where status and metrics are served; nil when they are off. A loopback address.
  public let http: NetworkAddress?
  /// The default for every VM: from the start of one pass to the start of the next.
  public let intervalSeconds: Double
  /// The default for every VM: the lag above which status and metrics call it late.
  public let rpoSeconds: Double
  public let maximumConcurrentPasses: Int
  /// Fixed by the first copy of a VM: a receiver refuses another one later.
  public let pageSizeBytes: Int
  public let compression: Compression
  public let logLevel: Logger.Level
  public let vms: [VM]

  /// Reads and checks a file of at most 1 MiB. The error holds every problem with its line and column.
  public static func load(path: String) throws(ConfigError) -> SenderConfig {
    try parse(ConfigFile.read(path: path), path: path)
  }

  /// Checks a text; `path` is for messages.
  public static func parse(_ text: String, path: String) throws(ConfigError) -> SenderConfig {
    try parse(Array(text.utf8), path: path)
  }

  /// Checks the bytes of a file; `path` is for messages.
  public static func parse(_ bytes: [UInt8], path: String) throws(ConfigError) -> SenderConfig {
    let document = try ConfigDocument.parse(bytes, path: path)
    let reader = ConfigReader()
    let config = SenderConfigSchema(reader: reader).config(document.root)
    try reader.finish(path: path)
    guard let config else { throw ConfigError.unexplained(path: path) }
    return config
  }
}

/// How the receiver or a peer proves who it is.
public enum PeerTrust: Sendable, Hashable {
  /// By one of these public keys.
  case pinned([Fingerprint])
  /// By a certificate that this CA signed for one of these names.
  case authority(caFile: String, allowedNames: [String])
}
