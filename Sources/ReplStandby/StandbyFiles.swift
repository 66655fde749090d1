import ReplModel

/// A file that stands beside the standby disks: descriptor, NVRAM, VMX.
public struct StandbyFile: Sendable, Hashable {
  public let name: String
  public let bytes: [UInt8]

  public init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}

/// What those files are made from.
public struct StandbyFilesRequest: Sendable {
  public let vm: VMID
  public let displayName: String
  /// Stem of the VMX's and NVRAM's names.
  public let slug: String
  /// The recovery point that the disks hold.
  public let point: RecoveryPoint
  /// The disks of the point, with their file names, slots and facts.
  public let disks: [CatalogDisk]
  public let sourceVMX: [UInt8]?
  public let sourceNVRAM: [UInt8]?
  /// True at failover: the VMX is one that may be powered on.
  public let isStartable: Bool

  /// For callers that test their `StandbyFilesMaking`; real requests are made here.
  public init(
    vm: VMID, displayName: String, slug: String, point: RecoveryPoint, disks: [CatalogDisk],
    sourceVMX: [UInt8]?, sourceNVRAM: [UInt8]?, isStartable: Bool
  ) {
    self.vm = vm
    self.displayName = displayName
    self.slug = slug
    self.point = point
    self.disks = disks
    self.sourceVMX = sourceVMX
    self.sourceNVRAM = sourceNVRAM
    self.isStartable = isStartable
  }
}

/// Makes the files beside the disks. `ReplStandby` knows neither VMDK nor VMX; the caller gives one of these.
public protocol StandbyFilesMaking: Sendable {
  /// In the order in which they must be written: descriptors, NVRAM, VMX last. Names are plain, and none is
  /// that of a data file. The same request must give the same bytes: settling may be done again after a
  /// crash.
  func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile]
}

extension [StandbyFile] {
  /// Refuses names and sizes that must not be written, before anything is written.
  func checked(besides disks: [CatalogDisk]) throws(StandbyError) -> [StandbyFile] {
    guard count <= Limits.placedFiles else { throw .filesRefused(detail: "\(count) files") }
    var taken = Set(disks.map { $0.flatFileName.lowercased() })
    taken.insert(StandbyLayout.settlingFile.lowercased())
    for file in self {
      guard StandbyLayout.isPlaceable(file.name), taken.insert(file.name.lowercased()).inserted else {
        throw .filesRefused(detail: "the name \(SafeText.printable(file.name)) is not allowed here")
      }
      guard file.bytes.count <= Limits.placedFileBytes else {
        throw .filesRefused(detail: "\(file.name) has \(file.bytes.count) bytes")
      }
    }
    return self
  }
}

extension StandbyLayout {
  /// A name made of slug characters, not hidden.
  static func isPlaceable(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 128 && !name.hasPrefix(".")
      && name.utf8.allSatisfy { byte in slugCharacters.contains(byte) }
  }

  private static let slugCharacters = Set(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8)
}
