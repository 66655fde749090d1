import ReplCommand
import ReplSource

/// `hints`: where a VM's change hints come from, and how soon all of what they leave out is read again.
extension SenderConfigSchema {
  private static let sources = ["none", "reflink", "chain", "command"]
  private static let hintKeys = ["from", "audit_days", "ask"]
  private static let auditDays: ClosedRange<Int> = 1...90
  /// A snapshot is held meanwhile.
  private static let askDeadlines: ClosedRange<Double> = 1...3600
  private static let askExample = "ask: {command: [/usr/local/bin/changes, \"{disk}\", \"{change_id}\"]}"

  /// `freeze` is the VM's, nil where it was not in order.
  func hints(_ node: ConfigNode, freeze: FreezeSettings?) -> HintSettings? {
    guard let scope = reader.mapping(node, keys: Self.hintKeys, hint: "a mapping with from") else {
      return nil
    }
    let fromNode = scope.required("from", "from: reflink")
    let from = fromNode.flatMap { reader.choice($0, among: Self.sources) }
    let days = scope.optional("audit_days").map { reader.integer($0, in: Self.auditDays) } ?? 7
    guard let fromNode, let from, let days else { return nil }
    if from != "command", let entry = scope.entries.first(where: { $0.key == "ask" }) {
      reader.problem(
        at: entry.keyPosition, entry.value.name,
        "belongs to hints from command, and these are from \(from): remove it, or change \"from\"")
      return nil
    }
    if from == "none", let entry = scope.entries.first(where: { $0.key == "audit_days" }) {
      reader.problem(
        at: entry.keyPosition, entry.value.name,
        "belongs to hints, and here are none: remove it, or change \"from\"")
      return nil
    }
    if let freeze, let why = Self.whyNot(from, freeze.provider) {
      reader.problem(fromNode, why)
      return nil
    }
    guard let provider = provider(from, scope) else { return nil }
    return HintSettings(provider: provider, auditDays: Double(days))
  }

  private static func whyNot(_ from: String, _ freeze: FreezeSettings.Provider) -> String? {
    switch (from, freeze) {
    case ("reflink", .reflink): nil
    case ("reflink", _):
      "hints from reflink compare the clones of freeze.provider reflink, and the provider here is "
        + "\(freeze.name): change one of the two"
    case ("chain", .reflink):
      "hints from chain look at the VM's own files, and freeze.provider reflink reads clones: "
        + "use hints from reflink"
    default: nil
    }
  }

  private func provider(_ from: String, _ scope: ConfigScope) -> HintSettings.Provider? {
    switch from {
    case "reflink": return .reflink
    case "chain": return .chain
    case "command":
      return scope.required("ask", Self.askExample).flatMap { node in
        command(
          node, "ask", Self.askDeadlines, defaultSeconds: 300, placeholders: HintSettings.placeholders)
      }.map { .command($0) }
    default: return HintSettings.Provider.none
    }
  }
}
