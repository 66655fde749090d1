import ReplModel

/// What a VMX attaches to one slot.
struct StorageDevice: Hashable {
  enum Kind: Hashable {
    case disk
    /// A CD-ROM or floppy drive: what is in it is not the VM's.
    case removable
    /// A device of the host that the guest drives itself.
    case hostDevice
    case unknown
  }

  let slot: DiskSlot
  /// Nil when the word is neither true nor false.
  let isPresent: Bool?
  let deviceType: String?
  let fileName: String?

  init(_ slot: DiskSlot, in document: VMXDocument) {
    self.slot = slot
    isPresent = VMXBoolean.parse(document["\(slot).present"] ?? "")
    deviceType = document["\(slot).deviceType"]
    fileName = document["\(slot).fileName"]
  }

  var kind: Kind {
    let namesDisk = fileName?.lowercased().hasSuffix(".vmdk") ?? false
    guard let type = deviceType?.lowercased(), !type.isEmpty else {
      // Hosted products leave the type out; only the file name tells a disk from a drive.
      return namesDisk || fileName == nil ? .disk : .removable
    }
    if type.contains("cdrom") || type.contains("floppy") { return .removable }
    let diskTypes = ["disk", "plaindisk", "rawdisk", "scsi-passthru-rdm", "scsi-nonpassthru-rdm"]
    if type.hasSuffix("harddisk") || diskTypes.contains(type) { return .disk }
    if type.contains("passthru") { return .hostDevice }
    return namesDisk ? .disk : .unknown
  }

  /// Whether the guest sees it, as far as the document says. What is neither true nor false counts as
  /// attached, and so does a controller that is not mentioned: a disk too many is found out, a missing one is
  /// not.
  func isAttached(in document: VMXDocument) -> Bool {
    isPresent != false && VMXBoolean.parse(document["\(slot.controllerName).present"] ?? "TRUE") != false
  }

  /// Whether what the guest writes to a disk of this mode is there after a power-off.
  static func keepsWrites(mode: String) -> Bool {
    ["", "persistent", "independent-persistent"].contains(mode.lowercased())
  }

  private static let slotPattern = KeyPattern("<bus>#:#")

  /// Every slot that the document says anything about, sorted.
  static func all(in document: VMXDocument) -> [StorageDevice] {
    var slots: Set<DiskSlot> = []
    for entry in document.entries {
      if let prefix = slotName(of: entry.name), let slot = DiskSlot(prefix), slot.description == prefix {
        slots.insert(slot)
      }
    }
    return slots.sorted().map { StorageDevice($0, in: document) }
  }

  /// `scsi0:99` of `SCSI0:99.present`: like a slot, whether there is such a slot or not.
  static func slotName(of name: String) -> String? {
    let prefix = name.lowercased().prefix { $0 != "." }
    guard prefix.utf8.count < name.utf8.count, slotPattern.matches(Array(prefix.utf8)) else { return nil }
    return String(prefix)
  }
}
