/// A path as text, cut into its components; `.` and empty ones are gone.
struct PathText: Hashable, Sendable {
  let components: [String]

  init(_ path: String) {
    components = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
      .filter { $0 != "." }
  }

  private init(components: [String]) { self.components = components }

  /// Absolute.
  var text: String { "/" + components.joined(separator: "/") }

  func dropLast() -> PathText { PathText(components: components.dropLast()) }

  func appending(_ other: PathText) -> PathText { PathText(components: components + other.components) }

  /// Without `..`; nil when that leads above the top. No link is followed beneath a root, so what the text
  /// says is what the kernel does.
  var resolved: PathText? {
    var result: [String] = []
    for component in components {
      if component != ".." {
        result.append(component)
      } else if result.popLast() == nil {
        return nil
      }
    }
    return PathText(components: result)
  }

  // MARK: Names of other systems

  /// Backslashes separate as well, because Workstation on Windows writes them; doubled ones count once but
  /// for a server's name; a scheme that only says "datastore" is dropped.
  static func slashed(_ name: String) -> String {
    var text = String(name.map { $0 == "\\" ? "/" : $0 })
    if text.lowercased().hasPrefix("ds:///") { text = String(text.dropFirst(5)) }
    let joined = text.split(separator: "/", omittingEmptySubsequences: true).joined(separator: "/")
    return (text.hasPrefix("//") ? "//" : text.hasPrefix("/") ? "/" : "") + joined
  }

  /// `/x`, `//server/share`, `C:/x`.
  static func isAbsolute(_ slashed: String) -> Bool { slashed.hasPrefix("/") || isDrive(slashed) }

  private static func isDrive(_ slashed: String) -> Bool {
    slashed.prefix { $0 != "/" }.hasSuffix(":")
  }

  /// `[ds1]` of `[ds1] web/web.vmdk`; nil for a name that does not begin with a datastore's.
  static func datastore(of name: String) -> String? {
    guard name.hasPrefix("["), let end = name.firstRange(of: "] ") else { return nil }
    return String(name[..<name.index(after: end.lowerBound)])
  }

  /// What follows `prefix` in `name`, both slashed; nil unless it ends between two components. Names of
  /// Windows compare without regard to case.
  static func rest(of name: String, after prefix: String) -> String? {
    let ignoresCase = prefix.hasPrefix("//") || isDrive(prefix)
    let wanted = (ignoresCase ? prefix.lowercased() : prefix).trimmedSlashes
    let start = name.prefix(wanted.count)
    guard !wanted.isEmpty, (ignoresCase ? start.lowercased() : String(start)) == wanted else { return nil }
    let rest = name.dropFirst(wanted.count)
    guard !rest.isEmpty else { return nil }
    if rest.first == "/" { return String(rest) }
    // "[datastore1] folder/disk.vmdk"
    return wanted.hasSuffix("]") ? String(rest.drop { $0 == " " }) : nil
  }
}

extension String {
  fileprivate var trimmedSlashes: String {
    var text = self[...]
    while text.hasSuffix("/") { text.removeLast() }
    return String(text)
  }
}
