import Glibc
import ReplIO
import Testing

@Suite("character sets") struct CharacterSetTests {
  @Test(
    "names in the character sets of Windows in East Asia and elsewhere are decoded",
    arguments: [
      ("GBK", [0xB7, 0xFE, 0xCE, 0xF1], "服务"), ("gb2312", [0xB7, 0xFE], "服"),
      ("Big5", [0xA6, 0xF8, 0xAA, 0x41], "伺服"), ("Shift_JIS", [0x95, 0x5C, 0x5C, 0x7E], "表\\~"),
      ("windows-31j", [0x87, 0x40], "①"), ("EUC-KR", [0xB0, 0xA1], "가"),
      ("windows-1251", [0xC4], "Д"), ("ISO-8859-15", [0xA4], "€"), ("gbk", [], ""),
    ] as [(String, [UInt8], String)])
  func decoding(_ label: String, _ bytes: [UInt8], _ text: String) throws {
    #expect(try #require(CharacterSet(label: label)).decode(bytes) == text)
  }

  @Test("bytes that are no text are refused, and a set that the machine lacks is told apart")
  func failures() throws {
    let gbk = try #require(CharacterSet(label: "GBK"))
    for bytes in [[0xB7], [0x41, 0xFF, 0x41]] as [[UInt8]] {
      #expect(throws: CharacterSet.Failure.undecodable) { try gbk.decode(bytes) }
    }
    #expect(throws: CharacterSet.Failure.unavailable) { try CharacterSet(name: "no-such-set").decode([65]) }
  }

  @Test(
    "labels that nobody knows, that are no labels, or in which ASCII means something else are refused",
    arguments: [
      "", "klingon", "GBK//TRANSLIT", "GBK,", "a b", "UTF-16", "UTF-16LE", "UTF-7", "EBCDIC-US", "JOHAB",
      String(repeating: "a", count: 41), "GBK\0", "ＧＢＫ",
    ])
  func labels(_ label: String) { #expect(CharacterSet(label: label) == nil) }

  @Test("a name of a few kilobytes is decoded whole")
  func long() throws {
    let gbk = try #require(CharacterSet(label: "GB18030"))
    let bytes = (0..<3000).flatMap { _ in [0x81, 0x30, 0x81, 0x30] as [UInt8] }
    #expect(try gbk.decode(bytes) == String(repeating: "\u{80}", count: 3000))
  }
}

@Suite("files of other kinds") struct PosixFileKindTests {
  @Test("only a block device is opened as one")
  func devices() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("file", with: [1])
    for path in [scratch.path + "/file", "/dev/null", "/tmp"] {
      let error = try #require(throws: IOError.self) { try PosixFile.blockDevice(path: path) }
      #expect(error.kind == .wrongFileType, "\(error)")
    }
    #expect(throws: IOError.self) { try PosixFile.blockDevice(path: "/dev/no-such-device") }
  }

  @Test("a name that is no UTF-8 is opened by its bytes, beneath the directory only")
  func rawNames() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("a", with: [7, 8])
    let raw: [UInt8] = [0xB7, 0xFE]
    let path = (Array(scratch.path.utf8) + [0x2F] + raw + [0]).map { CChar(bitPattern: $0) }
    try #require(rename(scratch.path + "/a", path) == 0)
    let file = try scratch.directory.openPosixFile(rawName: raw, shown: "服")
    #expect(try file.currentSizeBytes() == 2 && file.path.hasSuffix("/服"))
    for name in ["", "/etc/passwd", "../x", "a\0"].map({ Array($0.utf8) }) {
      #expect(throws: IOError.self) { try scratch.directory.openPosixFile(rawName: name, shown: "x") }
    }
  }

  @Test("a clone has the same bytes, or the storage says that it cannot make one")
  func clone() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("a", with: [UInt8](repeating: 5, count: 9000))
    let source = try scratch.directory.openPosixFile("a", .read)
    let copy = try scratch.directory.openPosixFile("b", .createNew)
    do {
      try copy.clone(from: source)
      #expect(try scratch.directory.readFile("b", limitBytes: 10_000) == [UInt8](repeating: 5, count: 9000))
    } catch {
      #expect([EOPNOTSUPP, EXDEV, EINVAL].contains(error.systemCode), "\(error)")
      #expect(error.description.contains("clone"))
    }
  }
}
