import ReplModel

/// The text of a VMX: every line kept byte for byte and in order, and the entries among them readable by
/// name.
public struct VMXDocument: Sendable {
  /// One `name = "value"`.
  public struct Entry: Hashable, Sendable {
    /// As written; names compare without regard to case.
    public let name: String
    /// With the escapes undone.
    public let value: String
    /// From 1.
    public let line: Int
  }

  /// In the order of the file, duplicates included.
  public let entries: [Entry]
  public let encoding: VMXEncoding
  /// What is odd but harmless, a sentence each: names that stand twice, a character set that is not known.
  public let notes: [String]

  let lines: [VMXLine]
  private let byteOrderMark: [UInt8]
  /// By lower-case name, the last of each: VMware's reader lets a later line win.
  private let values: [String: String]

  /// Reads a VMX. Lines that do not parse are no error: VMware keeps them too.
  /// - Throws: `.tooLarge` over 1 MiB, `.tooManyLines` over 64 Ki lines.
  public init(parsing bytes: [UInt8]) throws(VMXError) {
    guard bytes.count <= Limits.fileBytes else {
      throw VMXError(
        .tooLarge, "the VMX has \(bytes.count) bytes (at most \(Limits.fileBytes)): it is no VMX")
    }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    byteOrderMark = bytes.starts(with: mark) ? mark : []
    lines = try VMXLine.lines(of: bytes[byteOrderMark.count...])
    var notes: [String] = []
    encoding = Self.encoding(of: lines, &notes)
    var entries: [Entry] = []
    var values: [String: String] = [:]
    var doubled: Set<String> = []
    for (index, line) in lines.enumerated() {
      if line.hasNUL { notes.append("line \(index + 1) holds a NUL byte: what follows it is not read") }
      guard case .entry(let name, let value) = line.content else { continue }
      let entry = Entry(name: encoding.decode(name), value: encoding.decode(value), line: index + 1)
      entries.append(entry)
      let key = entry.name.lowercased()
      if values.updateValue(entry.value, forKey: key) != nil && doubled.insert(key).inserted {
        notes.append(
          "\(SafeText.printable(entry.name, limit: 64)) stands there more than once: the last one counts")
      }
    }
    self.entries = entries
    self.values = values
    self.notes = Array(notes.prefix(Limits.notes))
  }

  private static func encoding(of lines: [VMXLine], _ notes: inout [String]) -> VMXEncoding {
    var label: String?
    for line in lines {
      if case .entry(let name, let value) = line.content,
        String(decoding: name, as: UTF8.self).lowercased() == ".encoding"
      {
        label = String(decoding: value, as: UTF8.self)
      }
    }
    let named = VMXEncoding(label: label ?? "UTF-8")
    switch named {
    case .utf8:
      if lines.allSatisfy({ String(validating: $0.bytes, as: UTF8.self) != nil }) { return .utf8 }
      notes.append("the text is not valid UTF-8: read as windows-1252")
      return .windows1252
    case .windows1252, .named: break
    case .other(let label):
      notes.append(
        "the encoding \"\(SafeText.printable(label, limit: 32))\" is not known: characters outside ASCII"
          + " are not read"
      )
    }
    return named
  }

  /// The value of a name in any case; nil when there is none.
  public subscript(name: String) -> String? { values[name.lowercased()] }

  /// The same bytes that were read.
  public func serialize() -> [UInt8] {
    var bytes = byteOrderMark
    for line in lines { bytes += line.bytes + line.end }
    return bytes
  }
}
