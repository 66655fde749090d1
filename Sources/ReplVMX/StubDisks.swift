import ReplModel

/// Which storage devices the standby has: the replicated disks, and drives without a medium.
struct StubDisks {
  let document: VMXDocument
  /// The standby's descriptor by slot.
  let replicated: [DiskSlot: String]

  /// Slots with a disk that is attached at the source and that the standby does not have: it is excluded, or
  /// not copied completely yet.
  private(set) var excluded: [DiskSlot] = []

  init(_ document: VMXDocument, replicated: [DiskSlot: String]) {
    self.document = document
    self.replicated = replicated
  }

  mutating func plan(into plan: inout StubPlan) {
    var seen: Set<DiskSlot> = []
    for device in StorageDevice.all(in: document) {
      seen.insert(device.slot)
      if let name = replicated[device.slot] {
        attach(name, device, &plan)
      } else if device.isPresent == false {
        plan.set("\(device.slot).present", "FALSE")
      } else if device.kind == .removable {
        // The drive stays, so that the guest finds its hardware as it knows it.
        empty(device, &plan)
      } else {
        plan.set("\(device.slot).present", "FALSE")
        let mayBeDisk = device.kind == .disk || device.kind == .unknown
        if mayBeDisk && device.isAttached(in: document) { excluded.append(device.slot) }
      }
    }
    // A disk that the VMX does not mention cannot come from our own sender; it is attached all the same.
    for slot in replicated.keys.sorted() where !seen.contains(slot) {
      attach(replicated[slot] ?? "", StorageDevice(slot, in: document), &plan)
    }
  }

  /// A drive with no medium, in words that every reader takes: a drive for image files that names none at all
  /// is refused by libvirt.
  private func empty(_ device: StorageDevice, _ plan: inout StubPlan) {
    let slot = device.slot
    plan.set("\(slot).present", "TRUE")
    plan.set("\(slot).startConnected", "FALSE")
    let type = device.deviceType.flatMap { $0.isEmpty ? nil : $0 }
    if type == nil { plan.set("\(slot).deviceType", "cdrom-raw") }
    let holdsImages = type?.lowercased() == "cdrom-image"
    plan.set("\(slot).fileName", holdsImages ? "emptyBackingString" : "auto detect")
  }

  private func attach(_ name: String, _ device: StorageDevice, _ plan: inout StubPlan) {
    let slot = device.slot
    plan.set("\(slot).present", "TRUE")
    plan.set("\(slot).fileName", name)
    let isPlainDisk = device.deviceType.map {
      $0.lowercased().hasSuffix("disk") && $0.lowercased() != "rawdisk"
    }
    if isPlainDisk == false { plan.set("\(slot).deviceType", slot.bus == .scsi ? "scsi-hardDisk" : "disk") }
    if let mode = document["\(slot).mode"], !mode.isEmpty, StorageDevice.keepsWrites(mode: mode) {
      plan.set("\(slot).mode", mode)
    }
    if slot.bus != .ide { plan.set("\(slot.controllerName).present", "TRUE") }
  }
}
