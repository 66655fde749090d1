import Logging
import ReplModel
import ReplSource
import ReplVMDK

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

  /// One replicated VM.
  public struct VM: Sendable, Hashable {
    /// The path of its VMX file, absolute.
    public let vmxPath: String
    /// A name for people instead of the VMX's own display name.
    public let name: String?
    public let intervalSeconds: Double
    public let rpoSeconds: Double
    public let freeze: FreezeSettings
    /// Disks that are not replicated.
    public let excludedDisks: Set<DiskSelector>
    /// The block devices that stand for raw device mappings of its disks.
    public let devices: [DeviceMapping]
    /// What it may send, within what all together may.
    public let bandwidth: BandwidthPlan
    /// Who says what did not change.
    public let hints: HintSettings

    public init(
      vmxPath: String, name: String? = nil, intervalSeconds: Double, rpoSeconds: Double,
      freeze: FreezeSettings = .standard, excludedDisks: Set<DiskSelector> = [],
      devices: [DeviceMapping] = [], bandwidth: BandwidthPlan = .unlimited, hints: HintSettings = .none
    ) {
      self.vmxPath = vmxPath
      self.name = name
      self.intervalSeconds = intervalSeconds
      self.rpoSeconds = rpoSeconds
      self.freeze = freeze
      self.excludedDisks = excludedDisks
      self.devices = devices
      self.bandwidth = bandwidth
      self.hints = hints
    }
  }

  /// A folder in which VMs are looked for.
  public struct Folder: Sendable, Hashable {
    /// What becomes of a VM that is found.
    public enum Policy: String, Sendable, CaseIterable {
      /// It is shown as found and not protected.
      case report
      /// It is replicated, with the values of the folder.
      case protect
    }

    public let watched: WatchedFolder
    public let policy: Policy
    public let intervalSeconds: Double
    public let rpoSeconds: Double
    public let freeze: FreezeSettings
    /// What each of its VMs may send.
    public let bandwidth: BandwidthPlan
    public let hints: HintSettings

    public init(
      watched: WatchedFolder, policy: Policy, intervalSeconds: Double, rpoSeconds: Double,
      freeze: FreezeSettings, bandwidth: BandwidthPlan = .unlimited, hints: HintSettings = .none
    ) {
      self.watched = watched
      self.policy = policy
      self.intervalSeconds = intervalSeconds
      self.rpoSeconds = rpoSeconds
      self.freeze = freeze
      self.bandwidth = bandwidth
      self.hints = hints
    }

    /// The VM of a VMX file in this folder, as its policy protects it.
    public func vm(at vmxPath: String) -> VM {
      VM(
        vmxPath: vmxPath, intervalSeconds: intervalSeconds, rpoSeconds: rpoSeconds, freeze: freeze,
        bandwidth: bandwidth, hints: hints)
    }
  }

  /// Keys, digest maps and locks; mode 0700.
  public internal(set) var stateDirectory: String
  public internal(set) var receiver: Receiver
  /// Where status and metrics are served; nil when they are off. A loopback address.
  public internal(set) var http: NetworkAddress?
  /// The default for every VM: from the start of one pass to the start of the next.
  public let intervalSeconds: Double
  /// The default for every VM: the lag above which status and metrics call it late.
  public let rpoSeconds: Double
  public internal(set) var maximumConcurrentPasses: Int
  /// Fixed by the first copy of a VM: a receiver refuses another one later.
  public internal(set) var pageSizeBytes: Int
  public internal(set) var compression: Compression
  public let logLevel: Logger.Level
  /// Where paths of the virtualisation host lie on this machine.
  public let pathMap: [PathMapping]
  /// The VMs that are named one by one; may be empty where folders are watched.
  public let vms: [VM]
  public let folders: [Folder]
  /// From the end of one look for VMs to the start of the next.
  public let rescanSeconds: Double
  /// What all passes together may send.
  public internal(set) var bandwidth: BandwidthPlan = .unlimited

  /// How the view of one of its VMs is to be taken.
  public func viewRequest(_ vm: VM) -> ViewRequest {
    ViewRequest(
      vmxPath: vm.vmxPath, freeze: vm.freeze,
      opening: DiskOpening(mappings: pathMap, devices: vm.devices), excludedDisks: vm.excludedDisks,
      hints: vm.hints)
  }

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
