import ReplModel
import ReplSource

/// The keys of the sender's configuration, their defaults and bounds.
struct SenderConfigSchema {
  let reader: ConfigReader

  static let keys = [
    "state_dir", "receiver", "http", "interval", "rpo", "max_concurrent_passes", "page_size", "compression",
    "log_level", "path_map", "vms", "folders",
    "rescan", "bandwidth",
  ]
  static let vmKeys = [
    "vmx", "name", "interval", "rpo", "exclude_disks", "devices", "freeze", "bandwidth", "hints",
  ]
  /// Below 10 s a pass is mostly its three round trips; above a week nobody calls it replication.
  static let intervals: ClosedRange<Double> = 10...604_800
  /// Reading the names of a large datastore takes seconds; after an hour nobody calls it watching.
  static let rescans: ClosedRange<Double> = 1...3600
  static let statusAddress = NetworkAddress(host: "127.0.0.1", port: 9811)
  static let objectives: ClosedRange<Double> = 10...2_592_000

  func config(_ root: ConfigNode) -> SenderConfig? {
    guard let top = reader.mapping(root, keys: Self.keys, hint: "a mapping of keys such as receiver and vms")
    else { return nil }
    let stateDirectory = top.optional("state_dir").map(reader.path) ?? "/var/lib/repl-sender"
    let receiver = top.required("receiver", "receiver: {address: \"dr:7443\", fingerprint: sha256:...}")
      .flatMap(self.receiver)
    let times = schedule(top, interval: 600, rpo: nil)
    if !top.entries.contains(where: { $0.key == "vms" || $0.key == "folders" }) {
      reader.problem(
        root,
        "missing key \"vms\" (or \"folders\"); write for example: vms: [/srv/datastore1/web01/web01.vmx]")
    }
    let vms = top.optional("vms").map { self.vms($0, times) } ?? []
    let folders = top.optional("folders").map { self.folders($0, times) } ?? []
    let pathMap = top.optional("path_map").map(self.pathMap) ?? []
    let pageSize = top.optional("page_size").map(self.pageSize) ?? 4096
    let compression = top.optional("compression").map(self.compression) ?? .auto
    let passes = top.optional("max_concurrent_passes").map { reader.integer($0, in: 1...16) } ?? 2
    let level = top.optional("log_level").map(reader.logLevel) ?? .info
    let http = reader.statusAddress(top, default: Self.statusAddress)
    guard let stateDirectory, let receiver, let pageSize, let compression, let passes, let level
    else { return nil }
    let rescan = top.optional("rescan").map { reader.seconds($0, in: Self.rescans) } ?? 60
    let bandwidth = top.optional("bandwidth").map(self.bandwidth) ?? .unlimited
    guard let pathMap, let vms, let folders, let rescan, let bandwidth else { return nil }
    return SenderConfig(
      stateDirectory: stateDirectory, receiver: receiver, http: http, intervalSeconds: times.interval,
      rpoSeconds: times.rpo, maximumConcurrentPasses: passes, pageSizeBytes: pageSize,
      compression: compression, logLevel: level, pathMap: pathMap, vms: vms,
      folders: folders, rescanSeconds: rescan, bandwidth: bandwidth)
  }

  struct Schedule {
    let interval: Double
    let explicitRPO: Double?
    /// 15 minutes at the default interval: one and a half intervals, so that one late pass raises no alarm.
    var rpo: Double { explicitRPO ?? max(900, interval * 1.5) }
  }

  func schedule(_ scope: ConfigScope, interval: Double, rpo: Double?) -> Schedule {
    let given = scope.optional("interval")
    let ownInterval = given.flatMap { reader.seconds($0, in: Self.intervals) }
    let rpoNode = scope.optional("rpo")
    let ownRPO = rpoNode.flatMap { reader.seconds($0, in: Self.objectives) }
    let result = Schedule(interval: ownInterval ?? interval, explicitRPO: ownRPO ?? rpo)
    // A value that could not be read has been reported; what follows from its default would only confuse.
    let isKnown = (given == nil || ownInterval != nil) && (rpoNode == nil || ownRPO != nil)
    if isKnown, let late = rpoNode ?? given, result.rpo < result.interval {
      let (rpo, interval) = (
        QuantityText.text(seconds: result.rpo), QuantityText.text(seconds: result.interval)
      )
      reader.problem(
        late, "an rpo of \(rpo) is shorter than the interval of \(interval): the VM would always be late")
    }
    return result
  }

  private func receiver(_ node: ConfigNode) -> SenderConfig.Receiver? {
    let keys = ["address", "fingerprint", "ca_file", "allowed_names"]
    guard let scope = reader.mapping(node, keys: keys, hint: "a mapping with address and fingerprint") else {
      return nil
    }
    let address = scope.required("address", "address: \"dr.example.com:7443\"")
      .flatMap { reader.address($0, ports: 1...65535) }
    guard let trust = trust(scope), let address else { return nil }
    return SenderConfig.Receiver(address: address, trust: trust)
  }

  private func trust(_ scope: ConfigScope) -> PeerTrust? {
    let pinned = scope.optional("fingerprint")
    let file = scope.optional("ca_file")
    if let pinned {
      if let other = file ?? scope.optional("allowed_names") {
        reader.problem(other, "a peer is recognised by fingerprint or by ca_file, not by both; remove one")
      }
      return reader.fingerprints(pinned).map { .pinned($0) }
    }
    guard let file else {
      reader.problem(
        scope.node,
        "missing key \"fingerprint\" (or ca_file with allowed_names); "
          + "`repl-receiver init` prints the fingerprint")
      return nil
    }
    let names = scope.required("allowed_names", "allowed_names: [dr.example.com]").flatMap(reader.peerNames)
    guard let path = reader.path(file), let names else { return nil }
    return .authority(caFile: path, allowedNames: names)
  }

  private func pageSize(_ node: ConfigNode) -> Int? {
    guard let bytes = reader.bytes(node, in: 4096...65536) else { return nil }
    guard PageGrid.allowedPageSizes.contains(Int(bytes)) else {
      reader.problem(node, "is \(bytes) bytes; allowed are 4KiB, 8KiB, 16KiB, 32KiB and 64KiB")
      return nil
    }
    return Int(bytes)
  }

  private func compression(_ node: ConfigNode) -> SenderConfig.Compression? {
    reader.choice(node, among: SenderConfig.Compression.allCases.map(\.rawValue))
      .flatMap { SenderConfig.Compression(rawValue: $0) }
  }

  private func vms(_ node: ConfigNode, _ times: Schedule) -> [SenderConfig.VM]? {
    guard let items = reader.list(node, count: 1...ServiceLimits.configVMs, of: "VMs") else { return nil }
    var vms: [SenderConfig.VM] = []
    var paths: [(value: String, node: ConfigNode)] = []
    var names: [(value: String, node: ConfigNode)] = []
    for item in items {
      guard let vm = vm(item, times) else { continue }
      vms.append(vm)
      paths.append((vm.vmxPath, item))
      if let name = vm.name { names.append((name, item)) }
    }
    reader.unique(paths, as: "VM")
    reader.unique(names, as: "name")
    return vms.count == items.count ? vms : nil
  }

  /// A mapping, or just the path.
  private func vm(_ node: ConfigNode, _ times: Schedule) -> SenderConfig.VM? {
    if case .scalar = node.content {
      guard let path = vmxPath(node) else { return nil }
      return SenderConfig.VM(vmxPath: path, intervalSeconds: times.interval, rpoSeconds: times.rpo)
    }
    guard
      let scope = reader.mapping(
        node, keys: Self.vmKeys, hint: "the path of a VMX file, or a mapping with vmx")
    else { return nil }
    let path = scope.required("vmx", "vmx: /vmfs/web01/web01.vmx").flatMap(vmxPath)
    let own = schedule(scope, interval: times.interval, rpo: times.explicitRPO)
    let name = scope.optional("name").flatMap { reader.text($0, limit: 128) }
    let freeze = scope.optional("freeze").map(self.freeze) ?? .standard
    let hints = scope.optional("hints").map { self.hints($0, freeze: freeze) } ?? HintSettings.none
    let excluded = scope.optional("exclude_disks").map(diskSelectors) ?? []
    let devices = scope.optional("devices").map(self.devices) ?? []
    let bandwidth = scope.optional("bandwidth").map(self.bandwidth) ?? .unlimited
    guard let path, let freeze, let hints, let excluded, let devices, let bandwidth else { return nil }
    return SenderConfig.VM(
      vmxPath: path, name: name, intervalSeconds: own.interval, rpoSeconds: own.rpo, freeze: freeze,
      excludedDisks: excluded, devices: devices, bandwidth: bandwidth, hints: hints)
  }

  private func vmxPath(_ node: ConfigNode) -> String? {
    guard let path = reader.path(node) else { return nil }
    guard path.lowercased().hasSuffix(".vmx") else {
      reader.problem(
        node, "expected the path of a .vmx file, found \"\(SafeText.printable(path, limit: 200))\"")
      return nil
    }
    return path
  }
}

extension ConfigReader {
  /// The names that a CA's certificates may carry.
  func peerNames(_ node: ConfigNode) -> [String]? {
    guard let items = list(node, count: 1...256, of: "names") else { return nil }
    let names = items.compactMap { text($0, limit: 253) }
    unique(zip(names, items).map { ($0, $1) }, as: "name")
    return names.count == items.count ? names : nil
  }
}
