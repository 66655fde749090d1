import ReplModel

/// How the standby's network adapters are connected, and under which MAC address.
struct StubNetwork {
  let document: VMXDocument
  /// Names of networks at the source (for a distributed switch: the port group's ID) to names at the
  /// standby's site.
  let map: [String: String]

  func plan(into plan: inout StubPlan) {
    for number in adapterNumbers() {
      connect("ethernet\(number)", &plan)
      address("ethernet\(number)", &plan)
    }
  }

  private func adapterNumbers() -> [Int] {
    var numbers: Set<Int> = []
    for entry in document.entries {
      let prefix = entry.name.lowercased().prefix { $0 != "." }
      guard prefix.hasPrefix("ethernet"), prefix.utf8.count < entry.name.utf8.count,
        let number = Int(prefix.dropFirst(8)), (0..<Limits.adapters).contains(number),
        "ethernet\(number)" == prefix
      else { continue }
      numbers.insert(number)
    }
    return numbers.sorted()
  }

  /// Nobody wants a standby in a network that happens to have the same name: without a mapping it is
  /// disconnected.
  private func connect(_ adapter: String, _ plan: inout StubPlan) {
    // `custom` and the like name a device of the host (`vnet`), which is not carried over, and mean nothing
    // without it.
    if let type = document["\(adapter).connectionType"],
      ["bridged", "nat", "hostonly"].contains(type.lowercased())
    {
      plan.set("\(adapter).connectionType", type)
    }
    let network = document["\(adapter).networkName"] ?? document["\(adapter).dvs.portgroupId"]
    if let network, let mapped = map[network] {
      plan.set("\(adapter).networkName", mapped)
      return
    }
    plan.set("\(adapter).startConnected", "FALSE")
    if let network {
      plan.object(
        to: "\(adapter).networkName",
        "no mapping for network \"\(SafeText.printable(network, limit: 64))\": the adapter is disconnected")
    }
  }

  /// The guest, its licences and its DHCP reservations know the MAC address, so it is kept.
  private func address(_ adapter: String, _ plan: inout StubPlan) {
    let isStatic = document["\(adapter).addressType"]?.lowercased() == "static"
    let names = isStatic ? ["address", "generatedAddress"] : ["generatedAddress", "address"]
    let address = names.compactMap { document["\(adapter).\($0)"] }.lazy.compactMap { MACAddress($0) }.first
    guard let address else {
      plan.set("\(adapter).addressType", "generated")
      return
    }
    plan.set("\(adapter).addressType", "static")
    plan.set("\(adapter).address", address.description)
    if !address.isInStaticRange { plan.set("\(adapter).checkMACAddress", "FALSE") }
  }
}

/// Six bytes: `00:50:56:9a:00:01`.
struct MACAddress: Hashable, CustomStringConvertible {
  private let bytes: [UInt8]

  init?(_ text: String) {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
    guard parts.count == 6, parts.allSatisfy({ $0.utf8.count == 2 }),
      let bytes = HexText.decode(parts.joined())
    else {
      return nil
    }
    self.bytes = bytes
  }

  var description: String { bytes.map { HexText.encode([$0]) }.joined(separator: ":") }

  /// 00:50:56:00:00:00 to 00:50:56:3f:ff:ff: what VMware allows as a static address without being told not to
  /// check.
  var isInStaticRange: Bool { bytes.starts(with: [0x00, 0x50, 0x56]) && bytes[3] <= 0x3F }
}
