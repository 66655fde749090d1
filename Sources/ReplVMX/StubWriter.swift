import ReplModel

/// Writes the lines of a stub: the source's in their order, then what the source does not have.
struct StubWriter {
  let document: VMXDocument
  let plan: StubPlan
  private(set) var bytes: [UInt8] = []
  private(set) var dropped: [StandbyStub.Dropped] = []
  /// Lower-case names that are written or decided already.
  private var done: Set<String> = [".encoding"]

  init(document: VMXDocument, plan: StubPlan) {
    self.document = document
    self.plan = plan
  }

  mutating func write() {
    // It governs the whole file, and is where VMware writes it.
    append(".encoding", "UTF-8")
    for line in document.lines {
      switch line.content {
      case .entry(let name, _): write(entry: document.encoding.decode(name))
      case .comment: write(comment: line)
      case .unparsed: write(unparsed: line)
      }
    }
    for key in plan.order where done.insert(key).inserted {
      if let planned = plan[key] { append(planned.name, planned.value) }
    }
  }

  private mutating func append(_ name: String, _ value: String) {
    bytes += VMXEscape.line(name, value) + [0x0A]
  }

  private mutating func drop(_ key: String, _ reason: String) {
    dropped.append(StandbyStub.Dropped(key: SafeText.printable(key, limit: 64), reason: reason))
  }

  // MARK: Entries

  private mutating func write(entry name: String) {
    let key = name.lowercased()
    // Of several lines of one name the last one counts; it is written in the place of the first.
    guard done.insert(key).inserted else { return }
    if let planned = plan[key] { return append(planned.name, planned.value) }
    let value = document[key] ?? ""
    if let reason = Self.objection(toName: name) { return drop(name, reason) }
    switch StubRule.first(for: name) {
    case let rule? where rule.action == .keep: write(kept: name, value)
    case let rule?:
      if case .set(let fixed) = rule.action { return append(name, fixed) }
      drop(name, plan.objections[key] ?? rule.reason)
    case nil:
      if let reason = StubValue.objection(to: value) { return drop(name, reason) }
      append(name, value)
    }
  }

  private mutating func write(kept name: String, _ value: String) {
    guard !value.unicodeScalars.contains("\u{FFFD}") else {
      return drop(name, "its value holds characters that could not be read")
    }
    append(name, value)
  }

  /// VMware's names are plain; an odd one could mean another line to another reader.
  private static func objection(toName name: String) -> String? {
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isPlain, name.utf8.count <= Limits.nameBytes else { return "its name is not one that VMware uses" }
    return nil
  }

  // MARK: Other lines

  private mutating func write(comment line: VMXLine) {
    let text = document.encoding.decode(line.bytes)
    // The first line of some files names VMware's program at the source.
    guard !text.hasPrefix("#!") else { return drop(text, "names a program of the source's host") }
    guard Self.isPrintable(text) else { return drop(text, "a comment with control characters") }
    bytes += Array(text.utf8) + [0x0A]
  }

  /// VMware keeps what it cannot read, but another reader may read it: it must pass the same rules.
  private mutating func write(unparsed line: VMXLine) {
    let text = document.encoding.decode(line.bytes)
    let words = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = words[0].filter { $0 != " " && $0 != "\t" }
    let isKnown = !name.isEmpty && (StubRule.first(for: name) != nil || plan[name.lowercased()] != nil)
    guard Self.isPrintable(text), !isKnown, StubValue.objection(to: text) == nil else {
      return drop(text, "the line does not parse and may name something of the source")
    }
    bytes += Array(text.utf8) + [0x0A]
  }

  private static func isPrintable(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy {
      ($0.value >= 0x20 && $0.value != 0x7F && $0.value != 0xFFFD) || $0 == "\t"
    }
  }
}
