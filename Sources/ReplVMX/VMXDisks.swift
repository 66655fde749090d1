import ReplModel

/// A hard disk of a VM, as its VMX names it.
public struct VMXDisk: Hashable, Sendable {
  public let slot: DiskSlot
  /// Beneath the VM's folder.
  public let fileName: String
  /// `persistent`, `independent-persistent` or nothing.
  public let mode: String?
  public let deviceType: String?
}

extension VMXDocument {
  /// The hard disks that are attached, sorted by slot; CD-ROM and floppy drives are none.
  /// - Throws: for everything that would make a copy of the disks wrong or useless: a suspended or encrypted
  ///   VM, a disk that loses its writes at power-off, is written by others too, or lies outside the VM's
  ///   folder. The slot is named.
  public func disks() throws(VMXError) -> [VMXDisk] {
    guard !isSuspended else {
      throw VMXError(
        .suspended, "the VM is suspended: its disks are complete only together with its memory: resume it")
    }
    guard !isEncrypted else {
      throw VMXError(.encrypted, "the VM is encrypted and would not start without its keys: decrypt it")
    }
    try checkSlots()
    var disks: [VMXDisk] = []
    for device in StorageDevice.all(in: self) {
      if let disk = try disk(device) { disks.append(disk) }
    }
    return disks
  }

  /// A disk in a slot that we do not know would be left out without a word.
  private func checkSlots() throws(VMXError) {
    for entry in entries where entry.name.lowercased().hasSuffix(".present") {
      guard let name = StorageDevice.slotName(of: entry.name), VMXBoolean.parse(entry.value) != false else {
        continue
      }
      guard DiskSlot(name)?.description == name else {
        throw VMXError(
          .unknownSlot, "\(SafeText.printable(name, limit: 32)) is no slot of a VMware VM: correct the VMX")
      }
    }
  }

  private func disk(_ device: StorageDevice) throws(VMXError) -> VMXDisk? {
    let slot = device.slot
    guard let isPresent = device.isPresent else {
      let found = SafeText.printable(self["\(slot).present"] ?? "", limit: 32)
      throw VMXError(.notABoolean, slot: slot, "present is \"\(found)\", not TRUE or FALSE: correct the VMX")
    }
    // A controller that is not mentioned counts as there: a disk too many is found out, a missing one is not.
    let controller = "\(slot.bus.rawValue)\(slot.controller)"
    guard isPresent, VMXBoolean.parse(self["\(controller).present"] ?? "TRUE") != false else { return nil }
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
    try check(fileName, slot)
    let mode = self["\(slot).mode"].flatMap { $0.isEmpty ? nil : $0 }
    try check(mode: mode, slot)
    try checkSharing(slot, controller)
    return VMXDisk(slot: slot, fileName: fileName, mode: mode, deviceType: device.deviceType)
  }

  private func check(_ fileName: String, _ slot: DiskSlot) throws(VMXError) {
    let shown = SafeText.printable(fileName, limit: 128)
    guard
      !fileName.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || $0.value == 0xFFFD })
    else {
      throw VMXError(
        .unsafeName, slot: slot,
        "the file name \"\(shown)\" holds control or unknown characters: rename the disk")
    }
    guard StubValue.staysInFolder(fileName) else {
      throw VMXError(
        .nameLeavesFolder, slot: slot,
        "the file \"\(shown)\" lies outside the VM's folder, which is refused: move the disk into the folder")
    }
  }

  private func check(mode: String?, _ slot: DiskSlot) throws(VMXError) {
    guard let mode, !["persistent", "independent-persistent"].contains(mode.lowercased()) else { return }
    throw VMXError(
      .nonpersistentDisk, slot: slot,
      "mode \"\(SafeText.printable(mode, limit: 32))\": its writes are thrown away at power-off: make it"
        + " persistent, or"
        + " exclude the disk")
  }

  private func checkSharing(_ slot: DiskSlot, _ controller: String) throws(VMXError) {
    let notShared: Set<String> = ["", "none", "sharingnone"]
    if let sharing = self["\(slot).sharing"], !notShared.contains(sharing.lowercased()) {
      throw VMXError(
        .sharedDisk, slot: slot,
        "sharing is \"\(SafeText.printable(sharing, limit: 32))\": other VMs write it at the same time:"
          + " exclude the disk"
      )
    }
    if let bus = self["\(controller).sharedBus"], !notShared.contains(bus.lowercased()) {
      throw VMXError(
        .sharedBus, slot: slot,
        "\(controller).sharedBus is \"\(SafeText.printable(bus, limit: 32))\": other VMs may write the"
          + " disk: move it to"
          + " another controller, or exclude it")
    }
  }
}
