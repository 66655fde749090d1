import ReplCommand
import ReplSource

/// `freeze`: the provider, its commands and the hooks.
extension SenderConfigSchema {
  static let providers = ["none", "reflink", "vmware-snapshot", "command"]
  static let freezeKeys = [
    "provider", "allow_fuzzy", "quiesced", "pre_freeze", "post_thaw", "create", "remove", "foreign_snapshots",
    "take", "release",
  ]
  /// The keys that only one provider has.
  private static let ownKeys = [
    "vmware-snapshot": ["create", "remove", "foreign_snapshots"], "command": ["take", "release"],
  ]
  /// A guest that is held longer than this is an outage of its own.
  private static let hookDeadlines: ClosedRange<Double> = 1...600
  /// Merging a large snapshot takes hours.
  private static let commandDeadlines: ClosedRange<Double> = 1...86_400

  func freeze(_ node: ConfigNode) -> FreezeSettings? {
    let keys = Self.freezeKeys
    guard let scope = reader.mapping(node, keys: keys, hint: "a mapping with provider") else { return nil }
    let name = scope.required("provider", "provider: reflink")
      .flatMap { reader.choice($0, among: Self.providers) }
    let fuzzy = scope.optional("allow_fuzzy").map(reader.flag) ?? false
    let quiesced = scope.optional("quiesced").map(reader.flag) ?? false
    let foreign = scope.optional("foreign_snapshots").map(foreignSnapshots) ?? .refuse
    let before = scope.optional("pre_freeze").map { hook($0, "pre_freeze") }
    let after = scope.optional("post_thaw").map { hook($0, "post_thaw") }
    guard let name, let fuzzy, let quiesced, let foreign else { return nil }
    refuseForeignKeys(scope, of: name)
    if quiesced, let flag = scope.optional("quiesced"), let why = Self.whyNotQuiesced(name, before != nil) {
      reader.problem(flag, why)
    }
    if fuzzy, name == "vmware-snapshot" || name == "command", let flag = scope.optional("allow_fuzzy") {
      reader.problem(flag, "provider \(name) makes no fuzzy points, so there is nothing to allow: remove it")
    }
    guard let provider = provider(name, scope), before.isRead, after.isRead else { return nil }
    return FreezeSettings(
      provider: provider, allowFuzzy: fuzzy, quiesced: quiesced, preFreeze: before ?? nil,
      postThaw: after ?? nil, foreignSnapshots: foreign)
  }

  private static func whyNotQuiesced(_ provider: String, _ hasHook: Bool) -> String? {
    if provider == "none" {
      return "provider none is for VMs that are off, where nothing is to be brought to rest"
    }
    if provider == "vmware-snapshot" || hasHook { return nil }
    return "nothing brings the guest's filesystems to rest: give pre_freeze and post_thaw, or remove quiesced"
  }

  private func provider(_ name: String, _ scope: ConfigScope) -> FreezeSettings.Provider? {
    switch name {
    case "reflink": return .reflink
    case "vmware-snapshot":
      let create = required("create", scope, defaultSeconds: 300)
      let remove = required("remove", scope, defaultSeconds: 1800)
      guard let create, let remove else { return nil }
      return .vmwareSnapshot(create: create, remove: remove)
    case "command":
      let take = required("take", scope, defaultSeconds: 300)
      let release = required("release", scope, defaultSeconds: 300)
      guard let take, let release else { return nil }
      return .command(take: take, release: release)
    default: return FreezeSettings.Provider.none
    }
  }

  /// A key that the provider does not know would be a wish that is silently not granted.
  private func refuseForeignKeys(_ scope: ConfigScope, of provider: String) {
    for (owner, keys) in Self.ownKeys where owner != provider {
      for entry in scope.entries where keys.contains(entry.key) {
        reader.problem(
          at: entry.keyPosition, entry.value.name,
          "belongs to provider \(owner), and the provider here is \(provider): "
            + "remove it, or change the provider"
        )
      }
    }
  }

  private func foreignSnapshots(_ node: ConfigNode) -> FreezeSettings.ForeignSnapshots? {
    reader.choice(node, among: FreezeSettings.ForeignSnapshots.allCases.map(\.rawValue))
      .flatMap { FreezeSettings.ForeignSnapshots(rawValue: $0) }
  }

  private func hook(_ node: ConfigNode, _ key: String) -> CommandSpec? {
    command(node, key, Self.hookDeadlines, defaultSeconds: 30)
  }

  private func required(_ key: String, _ scope: ConfigScope, defaultSeconds: Double) -> CommandSpec? {
    scope.required(key, "\(key): {command: [/usr/local/bin/\(key), \"{vmx}\", \"{tag}\"], deadline: 5m}")
      .flatMap { command($0, key, Self.commandDeadlines, defaultSeconds: defaultSeconds) }
  }

  /// A mapping with command and deadline, or just the list of arguments.
  func command(
    _ node: ConfigNode, _ key: String, _ deadlines: ClosedRange<Double>, defaultSeconds: Double,
    placeholders: [String] = FreezeSettings.placeholders
  ) -> CommandSpec? {
    if case .list = node.content {
      return reader.command(node, placeholders: placeholders)
        .map { CommandSpec(template: $0, deadlineSeconds: defaultSeconds) }
    }
    guard
      let scope = reader.mapping(
        node, keys: ["command", "deadline"], hint: "a mapping with command and deadline")
    else { return nil }
    let template = scope.required("command", "command: [/usr/local/bin/\(key), \"{name}\"]")
      .flatMap { reader.command($0, placeholders: placeholders) }
    let seconds = scope.optional("deadline").map { reader.seconds($0, in: deadlines) } ?? defaultSeconds
    guard let template, let seconds else { return nil }
    return CommandSpec(template: template, deadlineSeconds: seconds)
  }
}

extension CommandSpec?? {
  /// Either not given, or given and in order.
  fileprivate var isRead: Bool {
    guard case .some(let given) = self else { return true }
    return given != nil
  }
}
