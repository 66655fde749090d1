import ReplIO

/// A place as another system names it, and the directory that holds it here.
public struct PathMapping: Sendable, Hashable {
  /// What names begin with: `/vmfs/volumes/5f3c0a1b-…`, `C:\VMs`, `\\server\share`, `[datastore1]`.
  public let prefix: String
  /// Absolute, on this machine.
  public let directory: String

  public init(prefix: String, directory: String) {
    self.prefix = prefix
    self.directory = directory
  }
}

/// A block device of this machine that stands for an extent which is no file.
public struct DeviceMapping: Sendable, Hashable {
  /// The extent's file name, letter by letter as the descriptor has it.
  public let name: String
  /// The block device here.
  public let path: String

  public init(name: String, path: String) {
    self.name = name
    self.path = path
  }
}

/// How the names in descriptors become files.
public struct DiskOpening: Sendable {
  /// Their directories are allowed roots besides the VM's folder.
  public var mappings: [PathMapping]
  /// RDM (virtual mode) and other extents that are devices are read through these only.
  public var devices: [DeviceMapping]
  /// When set, only these files are opened, each instead of the one at its place; any other place counts as
  /// missing.
  public var substitutes: [DiskFileName: PosixFile]?

  public init(
    mappings: [PathMapping] = [], devices: [DeviceMapping] = [],
    substitutes: [DiskFileName: PosixFile]? = nil
  ) {
    self.mappings = mappings
    self.devices = devices
    self.substitutes = substitutes
  }
}
