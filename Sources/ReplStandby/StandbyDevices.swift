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
    /// The VM's display name or its UUID.
    public let vm: String
    public let devices: [DiskSlot: String]

    public init(vm: String, devices: [DiskSlot: String]) {
      self.vm = vm
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

  /// What the operator wants for a disk; nil: a file.
  func path(vm: VMID, displayName: String, slot: DiskSlot) -> String? {
    let plan =
      plans.first { $0.vm.lowercased() == "\(vm)".lowercased() } ?? plans.first { $0.vm == displayName }
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
