import ReplModel
import Yams

/// A YAML file as nodes with positions. The only place that knows the YAML library.
///
/// Of YAML it takes what a configuration needs: mappings, lists and scalars in UTF-8, one document. Anchors,
/// aliases, tags and merge keys are refused: they make a file mean something else than it shows.
struct ConfigDocument {
  let root: ConfigNode

  static func parse(_ bytes: [UInt8], path: String) throws(ConfigError) -> ConfigDocument {
    do throws(ConfigProblem) {
      return ConfigDocument(root: try compose(try text(of: bytes)))
    } catch {
      throw ConfigError(path: path, problems: [error])
    }
  }

  /// UTF-8 without a byte order mark, of limited size.
  private static func text(of bytes: [UInt8]) throws(ConfigProblem) -> String {
    guard bytes.count <= ServiceLimits.configBytes else {
      let limit = ServiceLimits.configBytes
      throw ConfigProblem(at: nil, "is larger than \(limit) bytes; a configuration is never that large")
    }
    let hasMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
    let content = hasMark ? bytes[3...] : bytes[...]
    guard let text = String(validating: content, as: UTF8.self) else {
      throw ConfigProblem(at: firstInvalid(content), "is not UTF-8 text; save the file as UTF-8")
    }
    if let control = firstControl(text) {
      throw ConfigProblem(at: control, "a control character stands here; only text is allowed")
    }
    if let candidate = ConfigAliases.tooMany(in: content) {
      throw ConfigProblem(at: candidate, aliasMessage)
    }
    return text
  }

  /// The place of the first byte that is not UTF-8: where the repaired text first differs.
  private static func firstInvalid(_ bytes: ArraySlice<UInt8>) -> ConfigPosition {
    var (line, column) = (1, 1)
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    while case .scalarValue(let scalar) = decoder.decode(&iterator) {
      column += 1
      if scalar == "\n" { (line, column) = (line + 1, 1) }
    }
    return ConfigPosition(line: line, column: column)
  }

  /// The library names such a place in characters of its own making; this one counts as everything else does.
  private static func firstControl(_ text: String) -> ConfigPosition? {
    var (line, column) = (1, 1)
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x0A: (line, column) = (line + 1, 0)
      case 0..<0x09, 0x0B, 0x0C, 0x0E..<0x20, 0x7F, 0xFEFF, 0xFFFE, 0xFFFF:
        return ConfigPosition(line: line, column: column)
      default: break
      }
      column += 1
    }
    return nil
  }

  private static func compose(_ text: String) throws(ConfigProblem) -> ConfigNode {
    let node: Node?
    let parser: Parser
    do {
      // `.basic`: every scalar stays the text it is, so `on`, `0x10` and `1:20` cannot turn into something
      // else.
      parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
      node = try parser.singleRoot()
    } catch {
      throw ConfigSyntax.problem(error, in: text)
    }
    guard let node else {
      throw ConfigProblem(
        at: ConfigPosition(line: 1, column: 1), "the file is empty; start from the sample configuration")
    }
    var converter = Converter()
    // Nodes refer to their anchors weakly: the parser owns them.
    defer { withExtendedLifetime(parser) {} }
    return try converter.convert(node, name: "", depth: 0)
  }

  static let aliasMessage =
    "anchors (&) and aliases (*) are not supported: write the value out, or quote the text"
}

extension ConfigProblem: Error {}

/// Turns the library's nodes into ours, refusing what a configuration does not need.
private struct Converter {
  private var count = 0

  mutating func convert(_ node: Node, name: String, depth: Int) throws(ConfigProblem) -> ConfigNode {
    let position = position(of: node)
    count += 1
    guard node.anchor == nil else { throw ConfigProblem(at: position, ConfigDocument.aliasMessage) }
    guard depth < ServiceLimits.configDepth, count <= ServiceLimits.configNodes else {
      throw ConfigProblem(at: position, name: name, "is nested too deeply or holds too many values")
    }
    guard Self.plainTags.contains(Self.tag(of: node)) else {
      let tag = SafeText.printable(Self.tag(of: node))
      throw ConfigProblem(at: position, name: name, "the tag \(tag) is not supported; remove it")
    }
    let content: ConfigNode.Content
    switch node {
    case .scalar(let scalar): content = self.content(of: scalar)
    case .sequence(let sequence):
      var items: [ConfigNode] = []
      for item in sequence {
        items.append(try convert(item, name: "\(name)[\(items.count)]", depth: depth + 1))
      }
      content = .list(items)
    case .mapping(let mapping):
      var entries: [ConfigNode.Entry] = []
      for (key, value) in mapping {
        entries.append(try entry(key, value, name: name, depth: depth))
      }
      content = .mapping(entries)
    case .alias: throw ConfigProblem(at: position, ConfigDocument.aliasMessage)
    }
    return ConfigNode(position: position, name: name, content: content)
  }

  private mutating func entry(
    _ key: Node, _ value: Node, name: String, depth: Int
  ) throws(ConfigProblem) -> ConfigNode.Entry {
    let position = position(of: key)
    guard case .scalar(let scalar) = key, key.anchor == nil else {
      throw ConfigProblem(at: position, "a key must be a plain word")
    }
    let shown = SafeText.printable(scalar.string, limit: 64)
    let path = name.isEmpty ? shown : "\(name).\(shown)"
    return ConfigNode.Entry(
      key: scalar.string, keyPosition: position, value: try convert(value, name: path, depth: depth + 1))
  }

  private func content(of scalar: Node.Scalar) -> ConfigNode.Content {
    let isNothing = scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
    return isNothing ? .nothing : .scalar(scalar.string)
  }

  /// What the library writes for values without a tag: unresolved, or resolved to the three basic kinds.
  private static let plainTags: Set<String> = [
    "", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map",
  ]

  private static func tag(of node: Node) -> String {
    switch node {
    case .scalar(let scalar): scalar.tag.description
    case .sequence(let sequence): sequence.tag.description
    case .mapping(let mapping): mapping.tag.description
    case .alias(let alias): alias.tag.description
    }
  }

  private func position(of node: Node) -> ConfigPosition {
    ConfigPosition(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
  }
}
