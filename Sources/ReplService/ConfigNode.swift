/// A value of a configuration with its place in the file.
struct ConfigNode: Sendable {
  enum Content: Sendable {
    /// `key:` with nothing behind it, or `~`, or `null`.
    case nothing
    /// Text as it was written, without quotes; the schema decides what it means.
    case scalar(String)
    case list([ConfigNode])
    case mapping([Entry])
  }

  struct Entry: Sendable {
    let key: String
    let keyPosition: ConfigPosition
    let value: ConfigNode
  }

  let position: ConfigPosition
  /// Where it stands for people: `vms[2].interval`; empty at the top.
  let name: String
  let content: Content

  /// What it is, for messages.
  var kind: String {
    switch content {
    case .nothing: "no value"
    case .scalar: "a single value"
    case .list: "a list"
    case .mapping: "a mapping"
    }
  }
}
