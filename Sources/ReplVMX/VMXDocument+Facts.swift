import ReplModel

extension VMXDocument {
  /// The VM's identity, or nil when it has none yet: it gets one when it is first powered on.
  ///
  /// `uuid.bios` comes first because both hosted products and ESXi write it, and the guest sees it; `vc.uuid`
  /// exists only under vCenter.
  public var vmID: VMID? { self["uuid.bios"].flatMap { VMID($0) } ?? self["vc.uuid"].flatMap { VMID($0) } }

  /// As VMware shows it, but for the `%XX` that some ESX versions add on top of the escapes.
  public var displayName: String? { self["displayName"] }

  /// As written: open it beneath the VM's folder only.
  public var nvramFileName: String? { self["nvram"].flatMap { $0.isEmpty ? nil : $0 } }

  /// A suspended VM goes on from a memory file that is not replicated.
  public var isSuspended: Bool { !(self["checkpoint.vmState"] ?? "").isEmpty }

  /// Whether the VM or its configuration is encrypted.
  public var isEncrypted: Bool {
    ["encryption.keySafe", "encryption.data"].contains { !(self[$0] ?? "").isEmpty }
  }
}

/// VMware's spellings of true and false.
enum VMXBoolean {
  /// Nil for anything else.
  static func parse(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "true", "t", "yes", "y", "on", "1": true
    case "false", "f", "no", "n", "off", "0", "": false
    default: nil
    }
  }
}
