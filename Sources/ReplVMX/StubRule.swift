/// What happens to one line of the source's VMX on its way into the stub.
struct StubRule: Hashable, Sendable {
  enum Action: Hashable, Sendable {
    case keep
    case drop
    /// The value is replaced by this one.
    case set(String)
    /// The value is worked out from what is known of the standby; without such a value the line is dropped.
    case rewrite
  }

  let pattern: KeyPattern
  let action: Action
  /// For people: why.
  let reason: String

  init(_ pattern: String, _ action: Action, _ reason: String) {
    self.pattern = KeyPattern(pattern)
    self.action = action
    self.reason = reason
  }

  /// The first rule whose pattern fits; nil: the line is kept unless its value speaks against it.
  static func first(for name: String) -> StubRule? {
    let lowered = Array(name.lowercased().utf8)
    return StubRules.all.first { $0.pattern.matches(lowered) }
  }
}
