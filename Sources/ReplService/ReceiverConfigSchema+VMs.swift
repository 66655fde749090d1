import ReplModel

/// The keys of `vms`.
extension ReceiverConfigSchema {
  static let vmKeys = ["vm", "peer", "devices", "retention"]
  static let maximumVMs = 4096
  static let maximumDevices = 256

  /// `senders`: the names of all that may connect; nil when they could not be read, which has been reported.
  func vms(_ node: ConfigNode, senders: [String]?) -> [ReceiverConfig.VM]? {
    guard let items = reader.list(node, count: 1...Self.maximumVMs, of: "VMs") else { return nil }
    var vms: [ReceiverConfig.VM] = []
    var names: [(value: String, node: ConfigNode)] = []
    var devices: [(value: String, node: ConfigNode)] = []
    for item in items {
      let hint = "a mapping with vm, peer, devices and retention"
      guard let scope = reader.mapping(item, keys: Self.vmKeys, hint: hint) else { continue }
      let name = scope.required("vm", "vm: web01").flatMap { node -> String? in
        guard let name = reader.text(node, limit: 256) else { return nil }
        names.append((name, node))
        return name
      }
      // Nil within: none is given; nil: it is wrong.
      let peer: String?? = scope.optional("peer").map { self.peer(of: $0, among: senders) } ?? .some(nil)
      if let name, scope.optional("peer") == nil { refuse(name, of: senders, names.last?.node ?? item) }
      let found = scope.optional("devices").map { self.devices($0, all: &devices) } ?? [:]
      // The same.
      let retention: ReceiverConfig.Retention?? =
        scope.optional("retention").map { node in self.retention(node).map { .some($0) } } ?? .some(nil)
      if let name, let peer, let found, let retention {
        vms.append(ReceiverConfig.VM(name: name, peer: peer, devices: found, retention: retention))
      }
    }
    reader.unique(names, as: "VM")
    reader.unique(devices, as: "device")
    return vms.count == items.count ? vms : nil
  }

  /// Nil within when nobody can say whether there is such a sender; nil when it is wrong.
  private func peer(of node: ConfigNode, among senders: [String]?) -> String?? {
    guard let senders else { return .some(nil) }
    return reader.choice(node, among: senders).map { .some($0) }
  }

  /// Any sender can give a VM of its own any name.
  private func refuse(_ name: String, of senders: [String]?, _ node: ConfigNode) {
    guard VMID(name) == nil, let senders, senders.count > 1 else { return }
    reader.problem(
      node,
      "a name, and \(senders.count) senders may connect, each with a VM of that name: say whose it is, for "
        + "example peer: \(senders[0]), or write the VM's UUID")
  }

  private func devices(
    _ node: ConfigNode, all: inout [(value: String, node: ConfigNode)]
  ) -> [DiskSlot: String]? {
    guard case .mapping(let entries) = node.content, entries.count <= Self.maximumDevices else {
      reader.problem(
        node,
        "expected at most \(Self.maximumDevices) pairs such as \"scsi0:0\": /dev/mapper/dr-web01, found "
          + "\(node.kind)")
      return nil
    }
    var devices: [DiskSlot: String] = [:]
    for entry in entries {
      let key = ConfigNode(position: entry.keyPosition, name: entry.value.name, content: .scalar(entry.key))
      guard let slot = DiskSlot(entry.key) else {
        reader.problem(key, "expected a disk's slot such as scsi0:0 or nvme0:1")
        continue
      }
      guard let path = reader.path(entry.value) else { continue }
      guard path.hasPrefix("/dev/") else {
        reader.problem(entry.value, "expected a block device beneath /dev, such as /dev/mapper/dr-web01")
        continue
      }
      guard devices.updateValue(path, forKey: slot) == nil else {
        reader.problem(key, "the slot \(slot) is given twice")
        continue
      }
      all.append((path, entry.value))
    }
    return devices.count == entries.count ? devices : nil
  }

  /// Nil within for `half`; nil when it is wrong.
  func journalBudget(_ node: ConfigNode) -> Int64?? {
    if case .scalar("half") = node.content { return .some(nil) }
    return reader.bytes(node, in: (64 << 20)...(1 << 50)).map { .some($0) }
  }
}
