import ReplModel

/// Which storage devices the standby has: the replicated disks, and drives without a medium.
struct StubDisks {
  let document: VMXDocument
  /// The standby's descriptor by slot.
  let replicated: [DiskSlot: String]

  /// Slots with a disk that is present at the source and is not replicated.
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
        plan.set("\(device.slot).present", "TRUE")
        plan.set("\(device.slot).startConnected", "FALSE")
      } else {
        plan.set("\(device.slot).present", "FALSE")
        if device.kind == .disk { excluded.append(device.slot) }
      }
    }
    // A disk that the VMX does not mention cannot come from our own sender; it is attached all the same.
    for slot in replicated.keys.sorted() where !seen.contains(slot) {
      attach(replicated[slot] ?? "", StorageDevice(slot, in: document), &plan)
    }
  }

  private func attach(_ name: String, _ device: StorageDevice, _ plan: inout StubPlan) {
    let slot = device.slot
    plan.set("\(slot).present", "TRUE")
    plan.set("\(slot).fileName", name)
    let isPlainDisk = device.deviceType.map {
      $0.lowercased().hasSuffix("disk") && $0.lowercased() != "rawdisk"
    }
    if isPlainDisk == false { plan.set("\(slot).deviceType", slot.bus == .scsi ? "scsi-hardDisk" : "disk") }
    if slot.bus != .ide { plan.set("\(slot.bus.rawValue)\(slot.controller).present", "TRUE") }
  }
}
