/// The values that the stub gets whatever the source says, in the order in which they are appended when the
/// source has no such line.
struct StubPlan {
  private(set) var order: [String] = []
  private var values: [String: (name: String, value: String)] = [:]
  /// Why a line that a rule would rewrite is dropped instead, by lower-case name.
  private(set) var objections: [String: String] = [:]

  mutating func set(_ name: String, _ value: String) {
    let key = name.lowercased()
    let readable = value.split(separator: "\u{FFFD}", omittingEmptySubsequences: false).joined(separator: "?")
    if values.updateValue((name, readable), forKey: key) == nil { order.append(key) }
  }

  mutating func object(to name: String, _ reason: String) { objections[name.lowercased()] = reason }

  subscript(key: String) -> (name: String, value: String)? { values[key] }
}
