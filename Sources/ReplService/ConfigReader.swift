import ReplModel

/// Reads nodes as the values of a schema and collects every problem, so that one run of `config check` shows
/// them all.
///
/// A method answers nil when it has noted a problem.
final class ConfigReader {
  private(set) var problems: [ConfigProblem] = []

  func problem(at position: ConfigPosition, _ name: String, _ message: String) {
    problems.append(ConfigProblem(at: position, name: name, message))
  }

  func problem(_ node: ConfigNode, _ message: String) { problem(at: node.position, node.name, message) }

  /// Throws what was collected, in the order of the file.
  func finish(path: String) throws(ConfigError) {
    guard problems.isEmpty else {
      let start = ConfigPosition(line: 0, column: 0)
      let sorted = problems.sorted {
        let (left, right) = ($0.position ?? start, $1.position ?? start)
        return left == right ? $0.message < $1.message : left < right
      }
      throw ConfigError(path: path, problems: sorted)
    }
  }

  /// A mapping with no other keys than these.
  func mapping(_ node: ConfigNode, keys: [String], hint: String) -> ConfigScope? {
    guard case .mapping(let entries) = node.content else {
      problem(node, "expected \(hint), found \(node.kind)")
      return nil
    }
    for entry in entries where !keys.contains(entry.key) {
      let meant = Suggestion.closest(to: entry.key, among: keys)
      let advice =
        meant.map { "did you mean \"\($0)\"?" } ?? "known keys here: \(keys.joined(separator: ", "))"
      problem(at: entry.keyPosition, entry.value.name, "unknown key; \(advice)")
    }
    return ConfigScope(node: node, entries: entries, reader: self)
  }

  /// The items of a list of `count` values.
  func list(_ node: ConfigNode, count: ClosedRange<Int>, of what: String) -> [ConfigNode]? {
    guard case .list(let items) = node.content else {
      problem(node, "expected a list of \(what), found \(node.kind)")
      return nil
    }
    guard count.contains(items.count) else {
      problem(node, "expected \(count.lowerBound) to \(count.upperBound) \(what), found \(items.count)")
      return nil
    }
    return items
  }
}

/// The values of one mapping by key.
struct ConfigScope {
  let node: ConfigNode
  let entries: [ConfigNode.Entry]
  let reader: ConfigReader

  /// The value of a key; nil when it is not given, or given without a value, which is noted.
  func optional(_ key: String) -> ConfigNode? {
    guard let entry = entries.first(where: { $0.key == key }) else { return nil }
    if case .nothing = entry.value.content {
      reader.problem(at: entry.keyPosition, entry.value.name, "has no value; give one or remove the line")
      return nil
    }
    return entry.value
  }

  /// The value of a key that must be given.
  func required(_ key: String, _ example: String) -> ConfigNode? {
    if !entries.contains(where: { $0.key == key }) {
      reader.problem(node, "missing key \"\(key)\"; write for example: \(example)")
    }
    return optional(key)
  }
}
