import Logging
import ReplModel

extension ConfigReader {
  /// A single value as text: not empty unless allowed, printable, of limited length.
  func text(
    _ node: ConfigNode, allowEmpty: Bool = false, limit: Int = ServiceLimits.configTextBytes
  ) -> String? {
    guard case .scalar(let text) = node.content else {
      problem(node, "expected a single value, found \(node.kind)")
      return nil
    }
    guard text.utf8.count <= limit else {
      problem(node, "is \(text.utf8.count) bytes long, at most \(limit) are allowed")
      return nil
    }
    guard SafeText.printable(text, limit: limit) == text else {
      problem(node, "holds control characters; only printable text is allowed")
      return nil
    }
    guard allowEmpty || !text.isEmpty else {
      problem(node, "is empty; give a value or remove the line")
      return nil
    }
    return text
  }

  private func shown(_ text: String) -> String { "\"\(SafeText.printable(text, limit: 64))\"" }

  func flag(_ node: ConfigNode) -> Bool? {
    guard let text = text(node) else { return nil }
    switch text {
    case "true": return true
    case "false": return false
    default:
      problem(node, "expected true or false, found \(shown(text))")
      return nil
    }
  }

  func integer(_ node: ConfigNode, in range: ClosedRange<Int>) -> Int? {
    guard let text = text(node) else { return nil }
    guard let value = Int(text) else {
      problem(node, "expected a whole number, found \(shown(text))")
      return nil
    }
    guard range.contains(value) else {
      problem(node, "is \(value), allowed are \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return value
  }

  /// Seconds of a duration such as `10m`.
  func seconds(_ node: ConfigNode, in range: ClosedRange<Double>) -> Double? {
    guard let text = text(node) else { return nil }
    guard let value = QuantityText.seconds(text) else {
      problem(node, "expected a duration such as 90s, 10m, 2h or 1d, found \(shown(text))")
      return nil
    }
    guard range.contains(value) else {
      let (low, high) = (range.lowerBound, range.upperBound)
      let allowed = "\(QuantityText.text(seconds: low)) to \(QuantityText.text(seconds: high))"
      problem(node, "is \(SafeText.printable(text, limit: 64)), allowed are \(allowed)")
      return nil
    }
    return value
  }

  /// Bytes of a size such as `1GiB`.
  func bytes(_ node: ConfigNode, in range: ClosedRange<Int64>) -> Int64? {
    guard let text = text(node) else { return nil }
    guard let value = QuantityText.bytes(text) else {
      problem(node, "expected a size such as 64KiB, 1GiB or 500MB, found \(shown(text))")
      return nil
    }
    guard range.contains(value) else {
      let (low, high) = (range.lowerBound, range.upperBound)
      let allowed = "\(QuantityText.text(bytes: low)) to \(QuantityText.text(bytes: high))"
      problem(node, "is \(SafeText.printable(text, limit: 64)), allowed are \(allowed)")
      return nil
    }
    return value
  }

  /// One word of a closed set.
  func choice(_ node: ConfigNode, among choices: [String]) -> String? {
    guard let text = text(node) else { return nil }
    guard choices.contains(text) else {
      let advice = Suggestion.closest(to: text, among: choices).map { "; did you mean \"\($0)\"?" } ?? ""
      problem(node, "expected one of \(choices.joined(separator: ", ")), found \(shown(text))\(advice)")
      return nil
    }
    return text
  }

  func logLevel(_ node: ConfigNode) -> Logger.Level? {
    choice(node, among: Logger.Level.allCases.map(\.rawValue)).flatMap { Logger.Level(rawValue: $0) }
  }

  /// An absolute path, taken literally, without a `/` at the end.
  func path(_ node: ConfigNode) -> String? {
    guard let text = text(node, limit: ServiceLimits.pathBytes) else { return nil }
    // Before the test for "/": `$(pwd)/x` deserves the better answer.
    guard !["$(", "${", "`"].contains(where: { text.contains($0) }) else {
      problem(node, "variables and commands are not expanded; write the path out")
      return nil
    }
    guard text.hasPrefix("/") else {
      problem(node, "expected an absolute path such as /srv/dr, found \(shown(text))")
      return nil
    }
    let components = text.split(separator: "/")
    guard !components.contains(where: { $0 == "." || $0 == ".." }) else {
      problem(node, "holds \".\" or \"..\"; write the path out")
      return nil
    }
    return "/" + components.joined(separator: "/")
  }

  func address(_ node: ConfigNode, ports: ClosedRange<Int>) -> NetworkAddress? {
    guard let text = text(node) else { return nil }
    guard let address = NetworkAddress(text) else {
      problem(node, "expected host:port such as dr.example.com:7443 or [::1]:7443, found \(shown(text))")
      return nil
    }
    guard ports.contains(address.port) else {
      problem(
        node, "port \(address.port) cannot be used, allowed are \(ports.lowerBound) to \(ports.upperBound)")
      return nil
    }
    return address
  }

  /// Where status and metrics are served: a loopback address, or nil for `off`.
  func statusAddress(_ scope: ConfigScope, default standard: NetworkAddress) -> NetworkAddress? {
    guard let node = scope.optional("http") else { return standard }
    if case .scalar("off") = node.content { return nil }
    guard let address = address(node, ports: 0...65535) else { return nil }
    guard address.isLoopback else {
      problem(
        node,
        "\(address) can be reached from other machines and the status page asks nobody who they are; "
          + "use 127.0.0.1:\(address.port), or off")
      return nil
    }
    return address
  }

  /// One fingerprint or a list of them.
  func fingerprints(_ node: ConfigNode) -> [Fingerprint]? {
    let nodes: [ConfigNode]
    if case .list = node.content {
      guard let items = list(node, count: 1...16, of: "fingerprints") else { return nil }
      nodes = items
    } else {
      nodes = [node]
    }
    let values = nodes.compactMap(fingerprint)
    return values.count == nodes.count ? values : nil
  }

  private func fingerprint(_ node: ConfigNode) -> Fingerprint? {
    guard let text = text(node) else { return nil }
    guard let value = Fingerprint(text) else {
      problem(
        node,
        "expected sha256: and 64 hex digits, as `init` prints it on the other side; found \(shown(text))")
      return nil
    }
    return value
  }

  /// A name of our own for a store or a peer: `[A-Za-z0-9._-]`, 1 to 64 characters.
  func plainName(_ node: ConfigNode) -> String? {
    guard let text = text(node) else { return nil }
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isPlain, text.utf8.count <= 64 else {
      problem(node, "expected 1 to 64 letters, digits, dots, dashes or underscores, found \(shown(text))")
      return nil
    }
    return text
  }

  /// Notes a problem for every value that stands in the list a second time.
  func unique(_ values: [(value: String, node: ConfigNode)], as what: String) {
    var lines: [String: Int] = [:]
    for (value, node) in values {
      if let line = lines[value] {
        problem(node, "the same \(what) is already given in line \(line)")
      } else {
        lines[value] = node.position.line
      }
    }
  }
}
