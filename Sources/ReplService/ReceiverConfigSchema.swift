import Logging
import ReplModel

/// The keys of the receiver's configuration, their defaults and bounds.
struct ReceiverConfigSchema {
  let reader: ConfigReader

  static let keys = [
    "listen", "state_dir", "stores", "http", "peers", "ca", "networks", "display_name_suffix", "rpo",
    "free_space_floor", "journal_budget", "max_connections", "log_level", "failover", "vms",
    "limits", "retention", "verify",
  ]
  static let maximumStores = 64
  static let maximumPeers = 1024
  static let maximumNetworks = 1024

  func config(_ root: ConfigNode) -> ReceiverConfig? {
    guard let top = reader.mapping(root, keys: Self.keys, hint: "a mapping of keys such as stores and peers")
    else { return nil }
    let listen =
      top.optional("listen").map { reader.address($0, ports: 0...65535) }
      ?? NetworkAddress(host: "0.0.0.0", port: 7443)
    let stateNode = top.optional("state_dir")
    let stateDirectory = stateNode.map(reader.path) ?? "/var/lib/repl-receiver"
    let stores = top.required("stores", "stores: [{name: main, path: /srv/dr}]").flatMap(self.stores)
    if let stores, let stateDirectory { refuse(stateDirectory, stateNode ?? root, inside: stores) }
    let http = reader.statusAddress(top, default: NetworkAddress(host: "127.0.0.1", port: 9812))
    if let listen, let http { refuse(http, sharingPortOf: listen, in: top) }
    let peers = top.optional("peers").map { self.peers($0, stores: stores) } ?? []
    let authority = top.optional("ca").flatMap(self.authority)
    if !top.entries.contains(where: { $0.key == "peers" || $0.key == "ca" }) {
      reader.problem(
        root,
        "missing key \"peers\" (or \"ca\"): nobody could connect; "
          + "write for example: peers: [{name: site-a, fingerprint: sha256:...}]")
    }
    let senders = peers.map { $0.map(\.name) + (authority?.allowedNames ?? []) }
    guard let numbers = numbers(top), let texts = texts(top),
      let policies = policies(top, senders: senders)
    else { return nil }
    guard let listen, let stateDirectory, let stores, let peers else { return nil }
    return ReceiverConfig(
      listen: listen, stateDirectory: stateDirectory, stores: stores,
      http: http, peers: peers, authority: authority, networks: texts.networks,
      displayNameSuffix: texts.suffix,
      rpoSeconds: numbers.rpo, freeSpaceFloorBytes: numbers.floor, journalBudgetBytes: numbers.budget,
      maximumConnections: numbers.connections, logLevel: texts.level, failover: policies.failover,
      limits: policies.limits, retention: policies.retention, verify: policies.verify, vms: policies.vms)
  }

  /// The sections that say what is done when.
  private struct Policies {
    let failover: ReceiverConfig.Failover
    let limits: ReceiverConfig.Limits
    let retention: ReceiverConfig.Retention
    let verify: ReceiverConfig.Verify?
    let vms: [ReceiverConfig.VM]
  }

  private func policies(_ top: ConfigScope, senders: [String]?) -> Policies? {
    let failover = top.optional("failover").map(self.failover) ?? .standard
    let limits = top.optional("limits").map(self.limits) ?? ReceiverConfig.Limits()
    let retention = top.optional("retention").map(self.retention) ?? .standard
    let verify = top.optional("verify").map(self.verify) ?? .some(.standard)
    let vms = top.optional("vms").map { self.vms($0, senders: senders) } ?? []
    guard let failover, let limits, let retention, let verify, let vms else { return nil }
    return Policies(
      failover: failover, limits: limits, retention: retention, verify: verify, vms: vms)
  }

  private func numbers(
    _ top: ConfigScope
  ) -> (rpo: Double, floor: Int64, budget: Int64?, connections: Int)? {
    let rpo = top.optional("rpo").map { reader.seconds($0, in: SenderConfigSchema.objectives) } ?? 900
    let floor = top.optional("free_space_floor").map { reader.bytes($0, in: 0...(1 << 50)) } ?? 1 << 30
    let connections = top.optional("max_connections").map { reader.integer($0, in: 1...4096) } ?? 64
    let budget = top.optional("journal_budget").map(self.journalBudget) ?? .some(nil)
    guard let rpo, let floor, let connections, let budget else { return nil }
    return (rpo, floor, budget, connections)
  }

  private func texts(
    _ top: ConfigScope
  ) -> (networks: [String: String], suffix: String, level: Logger.Level)? {
    let networks = top.optional("networks").map(self.networks) ?? [:]
    let suffix =
      top.optional("display_name_suffix").map { reader.text($0, allowEmpty: true, limit: 64) } ?? " (DR)"
    let level = top.optional("log_level").map(reader.logLevel) ?? .info
    guard let networks, let suffix, let level else { return nil }
    return (networks, suffix, level)
  }

  private func stores(_ node: ConfigNode) -> [ReceiverConfig.Store]? {
    guard let items = reader.list(node, count: 1...Self.maximumStores, of: "stores") else { return nil }
    var stores: [ReceiverConfig.Store] = []
    var names: [(value: String, node: ConfigNode)] = []
    var paths: [(path: String, node: ConfigNode)] = []
    for item in items {
      guard let scope = reader.mapping(item, keys: ["name", "path"], hint: "a mapping with name and path")
      else { continue }
      let (nameNode, pathNode) = (
        scope.required("name", "name: main"), scope.required("path", "path: /srv/dr")
      )
      guard let nameNode, let pathNode, let name = reader.plainName(nameNode),
        let path = reader.path(pathNode)
      else { continue }
      stores.append(ReceiverConfig.Store(name: name, path: path))
      names.append((name, nameNode))
      if let other = paths.first(where: { Self.overlaps($0.path, path) }) {
        reader.problem(
          pathNode,
          "overlaps with the store at \(other.path) in line \(other.node.position.line); "
            + "stores must be apart from each other")
      }
      paths.append((path, pathNode))
    }
    reader.unique(names, as: "store name")
    return stores.count == items.count ? stores : nil
  }

  /// Digest maps with known content would reveal the key: they never lie where others may read.
  private func refuse(_ stateDirectory: String, _ node: ConfigNode, inside stores: [ReceiverConfig.Store]) {
    for store in stores where Self.isSame(stateDirectory, asOrBeneath: store.path) {
      reader.problem(
        node,
        "the state directory \(stateDirectory) lies in the store \(store.name) (\(store.path)); "
          + "it holds keys: put it elsewhere")
    }
  }

  /// Port 0 is a different one each time.
  private func refuse(_ http: NetworkAddress, sharingPortOf listen: NetworkAddress, in top: ConfigScope) {
    guard http.port == listen.port, http.port != 0 else { return }
    let node = top.optional("http") ?? top.optional("listen") ?? top.node
    reader.problem(
      node, "http and listen both use port \(http.port): give http another port, or off")
  }

  static func overlaps(_ left: String, _ right: String) -> Bool {
    isSame(left, asOrBeneath: right) || isSame(right, asOrBeneath: left)
  }

  private static func isSame(_ path: String, asOrBeneath directory: String) -> Bool {
    path == directory || path.hasPrefix(directory == "/" ? "/" : directory + "/")
  }

  private func peers(_ node: ConfigNode, stores: [ReceiverConfig.Store]?) -> [ReceiverConfig.Peer]? {
    guard let items = reader.list(node, count: 1...Self.maximumPeers, of: "peers") else { return nil }
    var peers: [ReceiverConfig.Peer] = []
    var names: [(value: String, node: ConfigNode)] = []
    var keys: [(value: String, node: ConfigNode)] = []
    for item in items {
      guard let peer = peer(item, stores: stores) else { continue }
      peers.append(peer)
      names.append((peer.name, item))
      keys += Set(peer.fingerprints).map { ("\($0)", item) }
    }
    reader.unique(names, as: "peer name")
    reader.unique(keys, as: "fingerprint")
    return peers.count == items.count ? peers : nil
  }

  private func peer(_ node: ConfigNode, stores: [ReceiverConfig.Store]?) -> ReceiverConfig.Peer? {
    let keys = ["name", "fingerprint", "store"]
    guard let scope = reader.mapping(node, keys: keys, hint: "a mapping with name and fingerprint") else {
      return nil
    }
    let name = scope.required("name", "name: site-a").flatMap(reader.plainName)
    let fingerprints = scope.required("fingerprint", "fingerprint: sha256:...").flatMap(reader.fingerprints)
    let store = scope.optional("store").flatMap { node -> String? in
      // When the stores could not be read, that has been reported.
      guard let stores else { return nil }
      return reader.choice(node, among: stores.map(\.name))
    }
    guard let name, let fingerprints else { return nil }
    return ReceiverConfig.Peer(name: name, fingerprints: fingerprints, store: store)
  }

  private func authority(_ node: ConfigNode) -> ReceiverConfig.Authority? {
    let keys = ["file", "allowed_names"]
    guard let scope = reader.mapping(node, keys: keys, hint: "a mapping with file and allowed_names") else {
      return nil
    }
    let file = scope.required("file", "file: /etc/vmrepl/ca.pem").flatMap(reader.path)
    let names = scope.required("allowed_names", "allowed_names: [a.example.com]").flatMap(reader.peerNames)
    guard let file, let names else { return nil }
    return ReceiverConfig.Authority(caFile: file, allowedNames: names)
  }

  private func networks(_ node: ConfigNode) -> [String: String]? {
    guard case .mapping(let entries) = node.content, entries.count <= Self.maximumNetworks else {
      reader.problem(
        node,
        "expected at most \(Self.maximumNetworks) pairs such as \"VM Network\": \"DR-VLAN-20\", "
          + "found \(node.kind)")
      return nil
    }
    var networks: [String: String] = [:]
    for entry in entries {
      let key = ConfigNode(
        position: entry.keyPosition, name: entry.value.name, content: .scalar(entry.key))
      guard let source = reader.text(key, limit: 256), let target = reader.text(entry.value, limit: 256)
      else { continue }
      networks[source] = target
    }
    return networks.count == entries.count ? networks : nil
  }

  private func failover(_ node: ConfigNode) -> ReceiverConfig.Failover? {
    let keys = ["register", "power_on", "deadline"]
    guard let scope = reader.mapping(node, keys: keys, hint: "a mapping with register and power_on") else {
      return nil
    }
    let names = ReceiverConfig.Failover.placeholders
    // Nothing has printed it before, or nothing does.
    let withoutID = names.filter { $0 != "id" }
    let notes = ["id": "{id} is what register printed: only for power_on, beside a register"]
    let (first, second) = (scope.optional("register"), scope.optional("power_on"))
    let register = first.flatMap { reader.command($0, placeholders: withoutID, notes: notes) }
    let powerOn = second.flatMap {
      reader.command($0, placeholders: first == nil ? withoutID : names, notes: notes)
    }
    let deadline = scope.optional("deadline").map { reader.seconds($0, in: 1...3600) } ?? 120
    guard let deadline else { return nil }
    return ReceiverConfig.Failover(register: register, powerOn: powerOn, deadlineSeconds: deadline)
  }
}

extension ReceiverConfig.Failover {
  /// Nothing is run; failover prints what to do.
  public static let standard = Self(register: nil, powerOn: nil, deadlineSeconds: 120)
}
