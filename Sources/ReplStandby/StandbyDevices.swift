import ReplIO
import ReplModel

/// Opens block devices; tests put others in their place.
public protocol DeviceOpening: Sendable {
  /// See `BlockDevice.open`.
  func open(_ path: String, isWritable: Bool) throws(IOError) -> BlockDevice
}

/// The devices of this machine.
public struct MachineDevices: DeviceOpening {
  public init() {}

  public func open(_ path: String, isWritable: Bool) throws(IOError) -> BlockDevice {
    try BlockDevice.open(path, isWritable: isWritable)
  }
}

/// Which disks are to lie on block devices, and which devices are taken.
public struct StandbyDevices: Sendable {
  /// The devices of one VM.
  public struct Plan: Sendable, Hashable {
    /// The VM's UUID, or the display name that it had when its standby was made.
    public let vm: String
    /// The sender whose VM it is; nil: there is only one.
    public let peer: String?
    public let devices: [DiskSlot: String]

    public init(vm: String, peer: String? = nil, devices: [DiskSlot: String]) {
      self.vm = vm
      self.peer = peer
      self.devices = devices
    }
  }

  let plans: [Plan]
  let opener: any DeviceOpening
  let claims: DeviceClaims

  /// `state`: where it is kept which devices are taken.
  public init(plans: [Plan], opener: any DeviceOpening, state: any StorageDirectory) {
    self.plans = plans
    self.opener = opener
    claims = DeviceClaims(state: state, opener: opener)
  }

  /// What the operator wants for a disk of a VM; nil: a file.
  func path(for catalog: Catalog, slot: DiskSlot) -> String? {
    let plans = plans.filter { $0.peer == nil || $0.peer == catalog.owner }
    let plan =
      plans.first { VMID($0.vm) == catalog.vm }
      ?? plans.first { $0.vm == catalog.configuredName }
    return plan?.devices[slot]
  }
}

extension CatalogDisk {
  /// Where its data is, for messages: the device, or the file's name.
  public var dataName: String { device ?? flatFileName }

  /// The same disk in a file, as copies of a point have it.
  var inFile: CatalogDisk {
    var copy = self
    copy.device = nil
    return copy
  }

  /// In the standby's folder: the descriptor, and the data file unless it is on a device.
  var fileNames: [String] { [descriptorFileName] + (device == nil ? [flatFileName] : []) }
}
