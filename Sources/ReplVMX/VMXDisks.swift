import ReplModel

/// A hard disk of a VM, as its VMX names it.
public struct VMXDisk: Hashable, Sendable {
  public let slot: DiskSlot
  /// As written: beside the VMX, beneath its folder, or anywhere else (`/vmfs/volumes/…`, `C:\VMs\…`,
  /// `[ds1] VM/disk.vmdk`). It holds no control characters; where it may lead is for the opener to say.
  public let fileName: String
  /// `persistent`, `independent-persistent` or nothing.
  public let mode: String?
  public let deviceType: String?
}

/// What a VMX attaches to one slot: a hard disk, or the reason why it cannot be replicated.
public struct VMXDiskEntry: Hashable, Sendable {
  public let slot: DiskSlot
  /// The name of the disk's file, also of a disk that is refused, for whoever must find out its identity
  /// first; nil when there is none that is safe to open.
  public let fileName: String?
  public let disk: Result<VMXDisk, VMXError>
}

extension VMXDocument {
  /// The hard disks that are attached, sorted by slot; CD-ROM and floppy drives are none.
  /// - Parameter excluded: left out before anything about them is judged.
  /// - Throws: the first of `vmProblems`, else that of the first disk whose copy would be wrong or useless:
  ///   one that loses its writes at power-off or is written by others too. The slot is named.
  public func disks(excluding excluded: Set<DiskSlot> = []) throws(VMXError) -> [VMXDisk] {
    if let problem = vmProblems.first { throw problem }
    var disks: [VMXDisk] = []
    for entry in diskEntries(excluding: excluded) { disks.append(try entry.disk.get()) }
    return disks
  }

  /// The same disks, each with its own verdict; what is wrong with the whole VM is in `vmProblems`.
  public func diskEntries(excluding excluded: Set<DiskSlot> = []) -> [VMXDiskEntry] {
    StorageDevice.all(in: self).compactMap { device in
      guard !excluded.contains(device.slot), device.isAttached(in: self) else { return nil }
      let disk: Result<VMXDisk, VMXError>
      do throws(VMXError) {
        guard let found = try self.disk(device) else { return nil }
        disk = .success(found)
      } catch { disk = .failure(error) }
      let safeName = device.fileName.flatMap { !$0.isEmpty && Self.isSafe($0) ? $0 : nil }
      return VMXDiskEntry(slot: device.slot, fileName: safeName, disk: disk)
    }
  }

  /// Why the VM as a whole cannot be replicated: it is suspended or encrypted, or has a device in a slot that
  /// is none.
  public var vmProblems: [VMXError] {
    var problems: [VMXError] = []
    if isSuspended {
      problems.append(
        VMXError(
          .suspended, "the VM is suspended: its disks are complete only together with its memory: resume it"))
    }
    if isEncrypted {
      problems.append(
        VMXError(.encrypted, "the VM is encrypted and would not start without its keys: decrypt it"))
    }
    return Array((problems + unknownSlots).prefix(Limits.notes))
  }

  /// A disk in a slot that we do not know would be left out without a word.
  private var unknownSlots: [VMXError] {
    var seen: Set<String> = []
    return entries.compactMap { entry in
      let key = entry.name.lowercased()
      guard key.hasSuffix(".present"), let name = StorageDevice.slotName(of: key),
        DiskSlot(name)?.description != name, VMXBoolean.parse(self[key] ?? "") != false,
        seen.insert(name).inserted
      else { return nil }
      return VMXError(
        .unknownSlot, "\(SafeText.printable(name, limit: 32)) is no slot of a VMware VM: correct the VMX")
    }
  }

  /// Nil for what is no hard disk.
  private func disk(_ device: StorageDevice) throws(VMXError) -> VMXDisk? {
    let slot = device.slot
    guard device.isPresent != nil else {
      let found = SafeText.printable(self["\(slot).present"] ?? "", limit: 32)
      throw VMXError(.notABoolean, slot: slot, "present is \"\(found)\", not TRUE or FALSE: correct the VMX")
    }
    switch device.kind {
    case .removable, .hostDevice: return nil
    case .disk: break
    case .unknown:
      let found = SafeText.printable(device.deviceType ?? "", limit: 32)
      throw VMXError(
        .unknownDeviceType, slot: slot,
        "deviceType \"\(found)\" is neither a disk nor a drive that is known: remove it")
    }
    guard let fileName = device.fileName, !fileName.isEmpty else {
      throw VMXError(.missingFileName, slot: slot, "the disk names no file: correct the VMX")
    }
    guard Self.isSafe(fileName) else {
      throw VMXError(
        .unsafeName, slot: slot,
        "the file name \"\(SafeText.printable(fileName, limit: 128))\" holds control or unreadable"
          + " characters: rename the disk")
    }
    let mode = self["\(slot).mode"].flatMap { $0.isEmpty ? nil : $0 }
    try check(mode: mode, slot)
    try checkSharing(slot)
    return VMXDisk(slot: slot, fileName: fileName, mode: mode, deviceType: device.deviceType)
  }

  private static func isSafe(_ fileName: String) -> Bool {
    fileName.utf8.count <= Limits.fileNameBytes
      && !fileName.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F || $0.value == 0xFFFD }
  }

  private func check(mode: String?, _ slot: DiskSlot) throws(VMXError) {
    guard let mode, !StorageDevice.keepsWrites(mode: mode) else { return }
    throw VMXError(
      .nonpersistentDisk, slot: slot,
      "mode \"\(SafeText.printable(mode, limit: 32))\": its writes are thrown away at power-off: make it"
        + " persistent, or exclude the disk")
  }

  private func checkSharing(_ slot: DiskSlot) throws(VMXError) {
    let notShared: Set<String> = ["", "none", "sharingnone"]
    if let sharing = self["\(slot).sharing"], !notShared.contains(sharing.lowercased()) {
      throw VMXError(
        .sharedDisk, slot: slot,
        "sharing is \"\(SafeText.printable(sharing, limit: 32))\": other VMs write it at the same time:"
          + " exclude the disk")
    }
    // What Server and Workstation call multi-writer.
    if let shared = self["\(slot).shared"], VMXBoolean.parse(shared) != false {
      throw VMXError(
        .sharedDisk, slot: slot,
        "shared is \"\(SafeText.printable(shared, limit: 32))\": other VMs write it at the same time:"
          + " exclude the disk")
    }
    let controller = slot.controllerName
    if let bus = self["\(controller).sharedBus"], !notShared.contains(bus.lowercased()) {
      throw VMXError(
        .sharedBus, slot: slot,
        "\(controller).sharedBus is \"\(SafeText.printable(bus, limit: 32))\": other VMs may write the"
          + " disk: move it to another controller, or exclude it")
    }
  }
}

extension DiskSlot {
  /// `scsi0`.
  var controllerName: String { "\(bus.rawValue)\(controller)" }
}
