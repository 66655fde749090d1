import Glibc
import ReplCommand
import ReplModel
import ReplService
import ReplSource

/// What was understood of a configuration, for `config check`.
enum ConfigReport {
  static func lines(_ config: SenderConfig) -> [String] {
    var lines: [String] = []
    for vm in config.vms {
      let name = vm.name.map { " (\(SafeText.printable($0)))" } ?? ""
      lines.append(
        "vm \(shown(vm.vmxPath))\(name): \(times(vm.intervalSeconds, vm.rpoSeconds)), \(freeze(vm.freeze))")
      if let bandwidth = vm.bandwidth.summary { lines.append("  bandwidth: \(bandwidth)") }
      if !vm.excludedDisks.isEmpty {
        lines.append("  not replicated: \(vm.excludedDisks.map { "\($0)" }.sorted().joined(separator: ", "))")
      }
      lines += vm.devices.map { "  \(shown($0.name)) is read from \(shown($0.path))" }
    }
    for folder in config.folders {
      let excluded = folder.watched.exclude.map { shown("\($0)") }
      let but = excluded.isEmpty ? "" : " but \(excluded.joined(separator: ", "))"
      let include = folder.watched.include.map { shown("\($0)") }.joined(separator: ", ")
      let policy = folder.policy == .protect ? "protects" : "reports"
      let values =
        folder.policy == .protect
        ? ": \(times(folder.intervalSeconds, folder.rpoSeconds)), \(freeze(folder.freeze))" : ""
      lines.append("folder \(shown(folder.watched.path)) \(policy) \(include)\(but)\(values)")
      if let bandwidth = folder.bandwidth.summary { lines.append("  bandwidth of each VM: \(bandwidth)") }
    }
    lines += config.pathMap.map { "path \(shown($0.prefix)) lies at \(shown($0.directory))" }
    if let bandwidth = config.bandwidth.summary { lines.append("bandwidth of all: \(bandwidth)") }
    return lines
  }

  /// Only what is there can be a VM; a datastore that is not mounted yet is no mistake in the file.
  static func warnings(_ config: SenderConfig) -> [String] {
    var warnings: [String] = []
    for vm in config.vms {
      guard let why = problem(vm.vmxPath, R_OK) else { continue }
      warnings.append(
        "\(shown(vm.vmxPath)): \(why): correct vmx, or mount the datastore before the first pass")
    }
    for folder in config.folders {
      guard let why = problem(folder.watched.path, R_OK | X_OK) else { continue }
      warnings.append("\(shown(folder.watched.path)): \(why): correct path, or mount the datastore")
    }
    for mapping in config.pathMap {
      guard let why = problem(mapping.directory, R_OK | X_OK) else { continue }
      warnings.append("\(shown(mapping.directory)): \(why): correct path_map, or mount the datastore")
    }
    let freezes = config.vms.map(\.freeze) + config.folders.map(\.freeze)
    for program in Set(freezes.flatMap(programs)).sorted() {
      guard let why = problem(program, X_OK) else { continue }
      warnings.append("\(shown(program)): \(why): a freeze needs this program")
    }
    return warnings
  }

  private static func problem(_ path: String, _ mode: Int32) -> String? {
    guard access(path, mode) != 0 else { return nil }
    return String(cString: strerror(errno))
  }

  private static func programs(_ freeze: FreezeSettings) -> [String] {
    var commands = [freeze.preFreeze, freeze.postThaw]
    switch freeze.provider {
    case .none, .reflink: break
    case .vmwareSnapshot(let create, let remove): commands += [create, remove]
    case .command(let take, let release): commands += [take, release]
    }
    return commands.compactMap { $0?.template.arguments.first }
  }

  private static func times(_ interval: Double, _ rpo: Double) -> String {
    "every \(AmountText.duration(seconds: interval)), rpo \(AmountText.duration(seconds: rpo))"
  }

  /// `freeze reflink between hooks, quiesced`.
  private static func freeze(_ freeze: FreezeSettings) -> String {
    let hooks =
      switch (freeze.preFreeze, freeze.postThaw) {
      case (nil, nil): ""
      case (_?, _?): " between hooks"
      case (_?, nil): " after a hook, without one that thaws"
      case (nil, _?): " with a thaw hook only"
      }
    var text = "freeze \(freeze.provider.name)\(hooks)"
    if freeze.quiesced { text += ", quiesced" }
    if freeze.allowFuzzy { text += ", fuzzy points allowed" }
    if freeze.foreignSnapshots == .allow { text += ", foreign snapshots allowed" }
    return text
  }

  private static func shown(_ text: String) -> String { SafeText.printable(text, limit: 1024) }
}
