import ReplModel
import ReplSource
import ReplVMDK

/// Where things are: `folders`, `path_map`, and per VM `devices` and `exclude_disks`.
extension SenderConfigSchema {
  static let folderKeys = [
    "path", "include", "exclude", "policy", "interval", "rpo", "freeze", "bandwidth", "hints",
  ]

  func folders(_ node: ConfigNode, _ times: Schedule) -> [SenderConfig.Folder]? {
    guard let items = reader.list(node, count: 1...ServiceLimits.configFolders, of: "folders") else {
      return nil
    }
    var folders: [SenderConfig.Folder] = []
    var paths: [(value: String, node: ConfigNode)] = []
    for item in items {
      guard let folder = folder(item, times) else { continue }
      folders.append(folder)
      paths.append((folder.watched.path, item))
    }
    reader.unique(paths, as: "folder")
    return folders.count == items.count ? folders : nil
  }

  private func folder(_ node: ConfigNode, _ times: Schedule) -> SenderConfig.Folder? {
    guard let scope = reader.mapping(node, keys: Self.folderKeys, hint: "a mapping with path and policy")
    else { return nil }
    let path = scope.required("path", "path: /srv/datastore1").flatMap(reader.path)
    let include = scope.optional("include").map { patterns($0, counts: 1...ServiceLimits.configPatterns) }
    let exclude = scope.optional("exclude").map { patterns($0, counts: 0...ServiceLimits.configPatterns) }
    let policy =
      scope.optional("policy").map { node in
        reader.choice(node, among: SenderConfig.Folder.Policy.allCases.map(\.rawValue))
          .flatMap { SenderConfig.Folder.Policy(rawValue: $0) }
      } ?? .report
    let own = schedule(scope, interval: times.interval, rpo: times.explicitRPO)
    let freeze = scope.optional("freeze").map(self.freeze) ?? .standard
    let bandwidth = scope.optional("bandwidth").map(self.bandwidth) ?? .unlimited
    let hints = scope.optional("hints").map { self.hints($0, freeze: freeze) } ?? HintSettings.none
    // The pattern that takes every path is one.
    guard let path, let include = include ?? (try? [PathPattern("*")]), let exclude = exclude ?? [],
      let policy, let freeze, let bandwidth, let hints
    else { return nil }
    return SenderConfig.Folder(
      watched: WatchedFolder(path: path, include: include, exclude: exclude), policy: policy,
      intervalSeconds: own.interval, rpoSeconds: own.rpo, freeze: freeze, bandwidth: bandwidth, hints: hints)
  }

  private func patterns(_ node: ConfigNode, counts: ClosedRange<Int>) -> [PathPattern]? {
    guard let items = reader.list(node, count: counts, of: "patterns") else { return nil }
    let patterns = items.compactMap(pattern)
    return patterns.count == items.count ? patterns : nil
  }

  private func pattern(_ node: ConfigNode) -> PathPattern? {
    guard let text = reader.text(node) else { return nil }
    do throws(PathPattern.Flaw) { return try PathPattern(text) } catch {
      switch error {
      case .empty: reader.problem(node, "the pattern is empty; write for example \"templates/*\"")
      case .tooLong: reader.problem(node, "the pattern is too long")
      case .openBracket:
        reader.problem(node, "the pattern has a [ without its ]; write \\[ for the character")
      case .loneBackslash: reader.problem(node, "the pattern ends with a \\; write \\\\ for the character")
      case .absolute:
        reader.problem(
          node,
          "patterns are compared with paths beneath the folder; write for example "
            + "\"templates/*\", without a / at the beginning")
      }
      return nil
    }
  }

  func pathMap(_ node: ConfigNode) -> [PathMapping]? {
    guard let items = reader.list(node, count: 1...ServiceLimits.configPathMappings, of: "mappings") else {
      return nil
    }
    var mappings: [PathMapping] = []
    var prefixes: [(value: String, node: ConfigNode)] = []
    for item in items {
      guard let scope = reader.mapping(item, keys: ["from", "to"], hint: "a mapping with from and to") else {
        continue
      }
      let from = scope.required("from", "from: /vmfs/volumes/datastore1")
      let to = scope.required("to", "to: /srv/datastore1").flatMap(reader.path)
      guard let from, let prefix = self.prefix(from), let to else { continue }
      mappings.append(PathMapping(prefix: prefix, directory: to))
      prefixes.append((prefix, from))
    }
    reader.unique(prefixes, as: "path")
    return mappings.count == items.count ? mappings : nil
  }

  /// The beginning of a path as the virtualisation host writes it, without a separator at the end.
  private func prefix(_ node: ConfigNode) -> String? {
    guard let text = reader.text(node, limit: ServiceLimits.pathBytes) else { return nil }
    let isDrive = text.dropFirst().first == ":" && text.first?.isLetter == true
    guard text.hasPrefix("/") || text.hasPrefix("[") || text.hasPrefix("\\\\") || isDrive else {
      reader.problem(
        node,
        "expected the beginning of an absolute path as the VM's files have it, such as /vmfs/volumes/ds1, "
          + "C:\\VMs or [ds1]; found \"\(SafeText.printable(text, limit: 64))\"")
      return nil
    }
    let short = text.reversed().drop { $0 == "/" || $0 == "\\" }.reversed()
    guard !short.isEmpty else {
      reader.problem(node, "\"\(text)\" would be the beginning of every path; name a folder")
      return nil
    }
    return String(short)
  }

  func devices(_ node: ConfigNode) -> [DeviceMapping]? {
    guard let items = reader.list(node, count: 1...ServiceLimits.configDisks, of: "devices") else {
      return nil
    }
    var devices: [DeviceMapping] = []
    var names: [(value: String, node: ConfigNode)] = []
    for item in items {
      guard
        let scope = reader.mapping(item, keys: ["name", "device"], hint: "a mapping with name and device")
      else { continue }
      let name = scope.required("name", "name: db_1-rdm.vmdk")
        .flatMap { reader.text($0, limit: ServiceLimits.pathBytes) }
      let device = scope.required("device", "device: /dev/mapper/lun7").flatMap(reader.path)
      guard let name, let device else { continue }
      devices.append(DeviceMapping(name: name, path: device))
      names.append((name, item))
    }
    reader.unique(names, as: "name")
    return devices.count == items.count ? devices : nil
  }

  func diskSelectors(_ node: ConfigNode) -> Set<DiskSelector>? {
    guard let items = reader.list(node, count: 1...ServiceLimits.configDisks, of: "disks") else { return nil }
    var selectors: [(value: String, node: ConfigNode)] = []
    var result: Set<DiskSelector> = []
    for item in items {
      guard let text = reader.text(item) else { continue }
      guard let selector = DiskSelector(text) else {
        reader.problem(
          item,
          "expected a slot such as \"scsi0:1\" or a disk's UUID (ddb.uuid), found "
            + "\"\(SafeText.printable(text, limit: 64))\"")
        continue
      }
      selectors.append(("\(selector)", item))
      result.insert(selector)
    }
    reader.unique(selectors, as: "disk")
    return selectors.count == items.count ? result : nil
  }
}
