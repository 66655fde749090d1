import ReplIO
import ReplModel

/// The devices that a standby has open. A device can be opened exclusively only once at a time, so that every
/// user of a disk shares one.
final class HeldDevices {
  fileprivate var open: [String: BlockDevice] = [:]
}

extension Standby {
  /// What the operator wants for an offered disk; nil: a file.
  private func plannedDevice(_ offered: PassOffer.Disk) -> String? {
    store.options.devices?.path(for: catalog, slot: offered.slot)
  }

  /// Lets go of all devices, so that others can have them.
  func releaseDevices() { heldDevices.open = [:] }

  /// Opens a device for writing, exclusively, and keeps it for as long as the standby is held.
  private func hold(_ path: String) throws(StandbyError) -> BlockDevice {
    if let held = heldDevices.open[path] { return held }
    guard let devices = store.options.devices else {
      throw .deviceRefused(path: path, detail: "this program was not told of any devices")
    }
    let device = try Self.opening(path) { () throws(IOError) in
      try devices.opener.open(path, isWritable: true)
    }
    try checkUnused(device.file)
    heldDevices.open[path] = device
    return device
  }

  static func opening<Value>(
    _ path: String, _ body: () throws(IOError) -> Value
  ) throws(StandbyError) -> Value {
    do throws(IOError) { return try body() } catch {
      throw .deviceRefused(path: path, detail: "\(error)")
    }
  }

  /// The disk on its device, at the first of `grids`. Nothing is written.
  func openDevice(
    _ disk: CatalogDisk, _ path: String, of grids: [PageGrid]? = nil
  ) throws(StandbyError) -> DeviceDisk {
    let device = try hold(path)
    let sizes = (grids ?? [disk.grid]).map(\.sizeBytes)
    try Self.checkSize(device, needs: sizes.max() ?? 0)
    let claim = try store.options.devices?.claims.claim(of: device)
    // Another disk's claim: two catalogs name one device.
    if let claim, let other = claim.disk, other != disk.disk { throw DeviceClaims.taken(path, by: claim) }
    return DeviceDisk(device, sizeBytes: sizes[0], punches: claim?.punches ?? false)
  }

  /// Exactly sized or larger, and its end on a sector.
  private static func checkSize(_ device: BlockDevice, needs sizeBytes: Int64) throws(StandbyError) {
    guard sizeBytes <= device.sizeBytes else {
      throw .deviceRefused(
        path: device.path,
        detail: "it has \(device.sizeBytes) bytes, the disk needs \(sizeBytes): enlarge the device")
    }
    guard sizeBytes % Int64(device.sectorBytes) == 0 else {
      throw .deviceRefused(
        path: device.path,
        detail: "its sectors have \(device.sectorBytes) bytes, and the disk's \(sizeBytes) bytes are no "
          + "multiple of that: use a device with sectors of 512 bytes, or a file")
    }
  }

  /// Throws when an offered disk cannot lie where the configuration wants it. Nothing is written.
  func checkDevice(_ offered: PassOffer.Disk) throws(StandbyError) {
    let (entry, planned) = (catalog.disk(offered.disk), plannedDevice(offered))
    if let entry, let planned, planned != entry.device { try checkMove(entry, to: planned) }
    guard let path = entry?.device ?? (entry == nil ? planned : nil) else { return }
    try Self.checkSize(try hold(path), needs: offered.grid.sizeBytes)
  }

  /// The configuration names another device than the disk is on: fine when it is the same by another name.
  private func checkMove(_ entry: CatalogDisk, to planned: String) throws(StandbyError) {
    if let held = entry.device, let opener = store.options.devices?.opener {
      let new = try Self.opening(planned) { () throws(IOError) in try opener.open(planned, isWritable: false)
      }
      // The old name may be gone; then nobody can say that it was this device.
      let old = try? opener.open(held, isWritable: false)
      if old?.number == new.number { return }
    }
    throw .deviceRefused(
      path: planned,
      detail: "disk \(entry.slot) of \(SafeText.printable(catalog.displayName)) is on \(entry.dataName), and "
        + "a disk is not moved: put the configuration back, or begin its copy anew: exclude it at the sender "
        + "(exclude_disks), let two passes commit, run \"repl-receiver disk remove \(catalog.vm) "
        + "\(entry.disk)\", and include it again")
  }

  /// The device of a new disk, taken for it durably before its first byte; nil for a file. Throws when
  /// it holds
  /// something that nobody gave away.
  func takeDevice(for offered: PassOffer.Disk) throws(StandbyError) -> String? {
    guard let path = plannedDevice(offered), let devices = store.options.devices else { return nil }
    let device = try hold(path)
    try Self.checkSize(device, needs: offered.grid.sizeBytes)
    let known = try devices.claims.claim(of: device)
    let isOurs =
      known.map { $0.disk == offered.disk || ($0.disk == nil && isMeant($0, offered.slot)) } ?? false
    if !isOurs {
      if let known, known.disk != nil { throw DeviceClaims.taken(path, by: known) }
      let found = try DeviceInspection(device)
      guard found.isEmpty else {
        throw .deviceRefused(
          path: path,
          detail:
            "it is not empty (\(found.content)): if nobody needs that, run \"repl-receiver storage claim "
            + "\(path) --vm '\(SafeText.printable(catalog.configuredName))' --disk \(offered.slot)\"")
      }
    }
    var claim = DeviceClaims.Claim(
      device: path, vm: catalog.configuredName, slot: offered.slot, disk: offered.disk, owner: catalog.vm,
      punches: known?.punches ?? false, at: store.time.wallTime())
    // First the name, then the trial: a trial that is cut off leaves something on the device.
    try devices.claims.enter(claim, on: device)
    if known?.disk == nil {
      claim.punches = try Self.provesPunching(device, within: offered.grid.sizeBytes)
      try devices.claims.enter(claim, on: device)
    }
    return path
  }

  /// Whose VM it is was asked when the configuration named the device for it.
  private func isMeant(_ claim: DeviceClaims.Claim, _ slot: DiskSlot) -> Bool {
    claim.slot == slot
      && (claim.vm == catalog.configuredName || claim.vm.lowercased() == "\(catalog.vm)".lowercased())
  }

  /// Tried at the end of the disk, all of which is written or compared afterwards.
  private static func provesPunching(
    _ device: BlockDevice, within sizeBytes: Int64
  ) throws(StandbyError) -> Bool {
    let end = sizeBytes / 4096 * 4096
    let length = min(DeviceInspection.lookedAtBytes, end)
    guard length > 0 else { return false }
    return try storing { () throws(IOError) in
      try device.provePunching(in: ByteRange(offset: end - length, length: length))
    }
  }
}

extension StandbyDevices {
  /// What a claim would give away. Opens the device exclusively, and lets go of it again.
  public func inspect(_ path: String) throws(StandbyError) -> DeviceInspection {
    try DeviceInspection(
      try Standby.opening(path) { () throws(IOError) in try opener.open(path, isWritable: true) })
  }

  /// Notes durably that a device may be overwritten for a disk, whatever it holds. Throws when a disk
  /// is on it
  /// already, or when somebody uses it.
  public func claim(_ path: String, vm: String, slot: DiskSlot, at: WallTime) throws(StandbyError) {
    let device = try Standby.opening(path) { () throws(IOError) in try opener.open(path, isWritable: true) }
    let claim = DeviceClaims.Claim(
      device: path, vm: vm, slot: slot, disk: nil, owner: nil, punches: false, at: at)
    try claims.enter(claim, on: device)
  }

  /// The device that the configuration names for a disk of a VM, called by `vm` as the configuration does.
  public func planned(vm: String, slot: DiskSlot) -> String? {
    (plans.first { $0.vm == vm } ?? plans.first { $0.vm.lowercased() == vm.lowercased() })?.devices[slot]
  }
}
