import ReplModel

/// The words of one extent line, checked against its grammar; the file name still in the descriptor's
/// character set.
struct ExtentWords {
  private let line: Int
  private let access: VMDKExtentLine.Access
  private let sectorCount: Int64
  private let kind: VMDKExtentLine.Kind
  private let name: ArraySlice<UInt8>?
  private var offsetSectors: Int64?
  private var namesDevice = false

  init(_ source: DescriptorLines.Line, path: String) throws(VMDKError) {
    line = source.number
    func error(_ code: VMDKError.Code, _ detail: String) -> VMDKError {
      VMDKError(code, path, .line(source.number), detail)
    }
    var rest = source.text
    let accessWord = Self.word(&rest)
    let countWord = Self.word(&rest)
    let kindWord = Self.word(&rest)
    guard let access = VMDKExtentLine.Access(rawValue: accessWord.uppercased()) else {
      guard countWord.utf8.first.map(Self.isDigit) == true, !kindWord.isEmpty else {
        throw error(.unreadableLine, "this is neither key=value nor an extent: the descriptor is damaged")
      }
      throw error(.unknownAccess, "access \"\(Self.shown(accessWord))\" is not RW, RDONLY or NOACCESS")
    }
    guard let count = Self.number(countWord), count > 0 else {
      throw error(.badSectorCount, "\"\(Self.shown(countWord))\" is not a count of sectors above 0")
    }
    guard count <= Limits.diskSectors else {
      throw error(.diskTooLarge, "\(count) sectors are more than 64 TiB, which no VMware disk has")
    }
    guard let kind = VMDKExtentLine.Kind(rawValue: kindWord.uppercased()) else {
      throw error(.unknownExtentType, "extent type \"\(Self.shown(kindWord))\" is not known")
    }
    (self.access, sectorCount, self.kind) = (access, count, kind)
    name = try Self.quoted(&rest, error)
    guard name != nil || kind == .zero else {
      throw error(.missingName, "a \(kind.rawValue) extent must name its file in quotes")
    }
    try readOffset(&rest, error)
  }

  private mutating func readOffset(
    _ rest: inout ArraySlice<UInt8>, _ error: (VMDKError.Code, String) -> VMDKError
  ) throws(VMDKError) {
    let word = Self.word(&rest)
    if word.isEmpty || word.hasPrefix("#") {
      guard kind != .flat else {
        throw error(.missingOffset, "a FLAT extent must say where it starts in its file (0 for all of it)")
      }
      return
    }
    guard let offset = Self.number(word), offset <= Limits.diskSectors else {
      throw error(.badOffset, "\"\(Self.shown(word))\" is not an offset in sectors")
    }
    guard offset == 0 || kind == .flat else {
      throw error(.badOffset, "a \(kind.rawValue) extent cannot start at sector \(offset) of its file")
    }
    offsetSectors = offset
    let more = Self.word(&rest)
    namesDevice = !more.isEmpty && !more.hasPrefix("#")
  }

  func decoded(_ encoding: DescriptorEncoding, path: String) throws(VMDKError) -> VMDKExtentLine {
    var fileName: EncodedName?
    if let name { fileName = try encoding.name(name, in: path, line: line) }
    return VMDKExtentLine(
      access: access, sectorCount: sectorCount, kind: kind, fileName: fileName?.text,
      offsetSectors: offsetSectors, namesDevice: namesDevice, line: line, rawFileName: fileName?.raw)
  }

  // MARK: Words

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func shown(_ word: String) -> String { SafeText.printable(word, limit: 64) }

  private static func number(_ word: String) -> Int64? {
    word.utf8.allSatisfy(isDigit) ? Int64(word) : nil
  }

  private static func word(_ rest: inout ArraySlice<UInt8>) -> String {
    rest = rest.drop(while: Blank.isBlank)
    let word = rest.prefix { !Blank.isBlank($0) && $0 != UInt8(ascii: "\"") }
    rest = rest[word.endIndex...]
    return String(decoding: word, as: UTF8.self)
  }

  private static func quoted(
    _ rest: inout ArraySlice<UInt8>, _ error: (VMDKError.Code, String) -> VMDKError
  ) throws(VMDKError) -> ArraySlice<UInt8>? {
    rest = rest.drop(while: Blank.isBlank)
    guard rest.first == UInt8(ascii: "\"") else { return nil }
    let inner = rest.dropFirst()
    guard let end = inner.firstIndex(of: UInt8(ascii: "\"")) else {
      throw error(.missingQuote, "the closing quote of the file name is missing")
    }
    rest = inner[(end + 1)...]
    return inner[..<end]
  }
}
