import ReplModel

/// Reads a descriptor line by line.
struct DescriptorParser {
  let path: String
  private let source: DescriptorLines
  /// Header keys in lower case. Bytes, because the encoding is known only when all are read.
  private var header: [String: (line: Int, value: ArraySlice<UInt8>)] = [:]
  private var diskDataBase: [DiskFacts.Entry] = []
  private var rawExtents: [ExtentWords] = []

  /// Keys that decide what the disk is: two of them could mean two disks.
  private static let decisiveKeys: Set<String> = [
    "version", "encoding", "cid", "parentcid", "createtype", "parentfilenamehint", "encryptionkeys",
  ]

  init(_ bytes: [UInt8], path: String) throws(VMDKError) {
    self.path = path
    guard Int64(bytes.count) <= Limits.descriptorBytes else {
      throw VMDKError(
        .descriptorTooLarge, path,
        "\(bytes.count) bytes are no descriptor (at most \(Limits.descriptorBytes)): name the small .vmdk,"
          + " not the data"
      )
    }
    source = try DescriptorLines(bytes, path: path)
  }

  mutating func parse() throws(VMDKError) -> VMDKDescriptor {
    try checkIsText()
    try readLines()
    try checkIsDescriptor()
    let encoding = try encoding()
    let extents = try decodedExtents(encoding)
    guard let createText = text("createtype"), let createType = VMDKCreateType(createText) else {
      let found = SafeText.printable(text("createtype") ?? "", limit: 64)
      throw error(
        .unknownCreateType, "createtype",
        "createType \"\(found)\" is not known: convert the disk to monolithicFlat")
    }
    let contentID = try identifier("cid")
    let parent = try identifier("parentcid")
    let hint = try hint(encoding)
    return VMDKDescriptor(
      version: try version(), contentID: contentID, parentContentID: parent == .max ? nil : parent,
      parentFileNameHint: hint?.text, rawParentFileNameHint: hint?.raw, createType: createType,
      changeTrackPath: text("changetrackpath"), isEncrypted: header["encryptionkeys"] != nil,
      extents: extents,
      diskDataBase: diskDataBase, sectorCount: try total(of: extents))
  }

  private func checkIsText() throws(VMDKError) {
    for line in source.lines where line.text.contains(0) {
      // A flat file or another program's file by the wrong name is the likelier story when nothing says
      // descriptor.
      guard source.hasSignature else {
        throw VMDKError(
          .notADescriptor, path, "this is neither a VMDK descriptor nor an image of a known kind")
      }
      throw VMDKError(
        .strayNUL, path, .line(line.number), "a NUL stands between text: the descriptor is damaged")
    }
  }

  private var looksLikeDescriptor: Bool {
    source.hasSignature || (header["version"] != nil && header["createtype"] != nil)
  }

  private mutating func readLines() throws(VMDKError) {
    do throws(VMDKError) {
      for line in source.lines { try read(line) }
    } catch {
      // A line that makes no sense in a file that says nowhere what it is: the file is the surprise, not the
      // line.
      if !looksLikeDescriptor { try checkIsDescriptor() }
      throw error
    }
  }

  private func checkIsDescriptor() throws(VMDKError) {
    guard looksLikeDescriptor else {
      throw VMDKError(
        .notADescriptor, path,
        "no line says \"# Disk DescriptorFile\", and version= or createType= is missing")
    }
    for key in ["createType", "CID", "parentCID"] where header[key.lowercased()] == nil {
      throw VMDKError(.missingKey, path, "there is no \(key) line: the descriptor is damaged or incomplete")
    }
  }

  // MARK: Lines

  private mutating func read(_ line: DescriptorLines.Line) throws(VMDKError) {
    let name = line.text.prefix { !Blank.isBlank($0) && $0 != UInt8(ascii: "=") }
    let rest = line.text[name.endIndex...].drop(while: Blank.isBlank)
    guard rest.first == UInt8(ascii: "="), !name.isEmpty else {
      return try readExtent(line)
    }
    let value = try value(Blank.trim(rest.dropFirst()), line.number)
    let key = String(decoding: name, as: UTF8.self)
    if key.lowercased().hasPrefix("ddb.") {
      let text = String(decoding: value, as: UTF8.self)
      diskDataBase.append(DiskFacts.Entry(key: String(key.dropFirst(4)), value: text))
      return
    }
    let lowered = key.lowercased()
    if let first = header[lowered], Self.decisiveKeys.contains(lowered) {
      throw VMDKError(
        .duplicateKey, path, .line(line.number),
        "\(SafeText.printable(key, limit: 64)) stands in line \(first.line) already: the descriptor is"
          + " damaged"
      )
    }
    header[lowered] = (line.number, value)
  }

  /// `"quoted"` or bare, followed by nothing but a comment.
  private func value(_ text: ArraySlice<UInt8>, _ number: Int) throws(VMDKError) -> ArraySlice<UInt8> {
    guard text.first == UInt8(ascii: "\"") else { return Blank.trim(text.prefix { $0 != UInt8(ascii: "#") }) }
    let inner = text.dropFirst()
    guard let end = inner.firstIndex(of: UInt8(ascii: "\"")) else {
      throw VMDKError(.missingQuote, path, .line(number), "the closing quote is missing: the line is damaged")
    }
    let rest = inner[(end + 1)...].drop(while: Blank.isBlank)
    guard rest.isEmpty || rest.first == UInt8(ascii: "#") else {
      throw VMDKError(.unreadableLine, path, .line(number), "there is text after the closing quote")
    }
    return inner[..<end]
  }

  private mutating func readExtent(_ line: DescriptorLines.Line) throws(VMDKError) {
    guard rawExtents.count < Limits.extents else {
      throw VMDKError(
        .tooManyExtents, path, .line(line.number), "more than \(Limits.extents) extents are not read")
    }
    rawExtents.append(try ExtentWords(line, path: path))
  }

  // MARK: Values

  private func text(_ key: String) -> String? {
    header[key].map { String(decoding: $0.value, as: UTF8.self) }
  }

  private func error(_ code: VMDKError.Code, _ key: String, _ detail: String) -> VMDKError {
    VMDKError(code, path, header[key].map { .line($0.line) }, detail)
  }

  private func version() throws(VMDKError) -> Int {
    // The signature alone identifies a descriptor; writers without `version` predate version 2.
    guard let text = text("version") else { return 1 }
    guard let number = Int(text), (1...3).contains(number) else {
      throw error(
        .badVersion, "version", "version \(SafeText.printable(text, limit: 32)) is not known (1 to 3 are)")
    }
    return number
  }

  /// Up to eight hex digits; QEMU writes them without leading zeros.
  private func identifier(_ key: String) throws(VMDKError) -> UInt32 {
    let text = text(key) ?? ""
    guard (1...8).contains(text.utf8.count), text.utf8.allSatisfy({ HexText.value($0) != nil }),
      let value = UInt32(text, radix: 16)
    else {
      throw error(
        .badContentID, key,
        "\"\(SafeText.printable(text, limit: 32))\" is not a content ID of 1 to 8 hex digits")
    }
    return value
  }

  private func encoding() throws(VMDKError) -> DescriptorEncoding {
    guard let text = text("encoding"), !text.isEmpty else { return .utf8 }
    return DescriptorEncoding(text)
  }

  private func hint(_ encoding: DescriptorEncoding) throws(VMDKError) -> EncodedName? {
    guard let found = header["parentfilenamehint"], !found.value.isEmpty else { return nil }
    return try encoding.name(found.value, in: path, line: found.line)
  }

  private func decodedExtents(_ encoding: DescriptorEncoding) throws(VMDKError) -> [VMDKExtentLine] {
    var extents: [VMDKExtentLine] = []
    for words in rawExtents { extents.append(try words.decoded(encoding, path: path)) }
    return extents
  }

  private func total(of extents: [VMDKExtentLine]) throws(VMDKError) -> Int64 {
    var sum: Int64 = 0
    for extent in extents {
      // Each is at most `diskSectors`, so the sum cannot overflow before it is found too large.
      sum += extent.sectorCount
      guard sum <= Limits.diskSectors else {
        throw VMDKError(
          .diskTooLarge, path, .line(extent.line),
          "the extents add up to more than \(Limits.diskSectors) sectors (64 TiB), which no VMware disk has")
      }
    }
    return sum
  }
}
