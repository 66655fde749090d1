import ReplModel
import Testing

@testable import ReplVMX

/// What we make of a text, in the terms of VMware's reader.
private func ours(_ bytes: [UInt8]) throws -> [VMwareDictionary.Line] {
  try VMXDocument(parsing: bytes).lines.map { line in
    guard case .entry(let name, let value) = line.content else { return .init(name: nil, value: nil) }
    return .init(name: name, value: value)
  }
}

private func shown(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self).debugDescription }

@Suite("VMware's own reader and writer as judge", .needsVMwareDictionary)
struct VMwareJudgeTests {
  /// Pieces of lines that have a meaning somewhere in the grammar.
  private let tokens = [
    "a", "b.c", "scsi0:0.fileName", "=", "=", "\"", "\"", " ", "\t", "#", "|22", "|7C", "|0a", "|0", "|zz",
    "|", "|7f", "||", "\u{7F}", "%25", "\\", "x", "ü", "\u{1}", "|c3|bc", "|00", "'", "\u{B}",
  ].map { Array($0.utf8) }
  private let ends = ["\n", "\n", "\r\n", "\r"].map { Array($0.utf8) }

  @Test(
    "hostile lines are read as VMware reads them",
    arguments: [
      "a = b c", "a = \"b\"x", "a = \"b", "a b = \"c\"", "= \"b\"", "a =", "a = ", "a", "a==b", "a= =b",
      "a = \"b\" # note", "a = b#note", "a = #x", "a = \"#x\"", "a#b = c", "# a = b", "#!/usr/bin/vmware", "",
      "  ", "\t", "a = |22", "a = \"|22|7C|0a|0D|7f|01\"", "a = \"|\"", "a = \"|2\"", "a = \"||7C\"",
      "a = \"|0|22\"", "a = \"|zz\"", "a = \"|G0\"", "a = \"|0G\"", "a = \"|00y\"", "a = \"x|00y\" # z",
      "a = \"x|0|00y\"", "a = |7c|7C", "a\"b = \"c\"", "a = b\"c", "a = 'b c'", "\u{B}a = b", "a = b\u{C}",
      "a = \"\u{FEFF}\"", "\u{FEFF}a = b", "a = \"ü\u{80}\"", "a=\"b\"\t \t", "\ta\t=\tb\t#",
      "a = \"b\0c\"", "a = b\0c", "a\0 = b", "\0", "a = \"b\"\0c",
    ])
  func hostileLines(_ line: String) throws {
    let judge = try VMwareDictionary()
    for end in ["\n", "\r\n", "\r", ""] {
      let bytes = Array((line + end).utf8)
      #expect(try ours(bytes) == judge.read(bytes), "\((line + end).debugDescription)")
    }
  }

  @Test("any lines are read as VMware reads them", arguments: 1...8)
  func anyLines(_ seed: UInt64) throws {
    let judge = try VMwareDictionary()
    var random = SeededGenerator(seed: seed)
    var entries = 0
    for round in 0..<20 {
      var bytes: [UInt8] = round % 3 == 0 ? [0xEF, 0xBB, 0xBF] : []
      for _ in 0..<200 { bytes += line(&random) + ends.randomElement(using: &random)! }
      let (mine, theirs) = (try ours(bytes), try judge.read(bytes))
      entries += theirs.count { $0.name != nil }
      #expect(mine.count == theirs.count, "seed \(seed) round \(round)")
      if let index = zip(mine, theirs).enumerated().first(where: { $1.0 != $1.1 })?.offset {
        let source = try VMXDocument(parsing: bytes).lines[index].bytes
        Issue.record("seed \(seed) round \(round) line \(index + 1): \(shown(source)): \(theirs[index])")
      }
    }
    #expect(entries > 500, "seed \(seed): the lines say nothing")
  }

  private func line(_ random: inout SeededGenerator) -> [UInt8] {
    func some(_ most: Int, _ random: inout SeededGenerator) -> [UInt8] {
      (0..<Int.random(in: 0...most, using: &random)).flatMap { _ in tokens.randomElement(using: &random)! }
    }
    if Bool.random(using: &random) { return some(9, &random) }
    let quote = Bool.random(using: &random) ? Array("\"".utf8) : []
    let comment = [[], Array(" # c".utf8), Array("#".utf8), Array(" x".utf8)].randomElement(using: &random)!
    return tokens[Int.random(in: 0..<3, using: &random)] + Array(" = ".utf8) + quote + some(5, &random)
      + quote
      + comment
  }

  @Test("values are written as VMware writes them, byte for byte", arguments: 1...4)
  func values(_ seed: UInt64) throws {
    let judge = try VMwareDictionary()
    var random = SeededGenerator(seed: seed)
    for byte in 1...UInt8.max {
      // The value as bytes: what is no UTF-8 alone is written raw by VMware too.
      let line = Array("a = \"".utf8) + VMXEscape.encode([byte]) + Array("\"\n".utf8)
      #expect(line == judge.line(Array("a".utf8), [byte]), "byte \(byte)")
    }
    for _ in 0..<300 {
      let value = (0..<Int.random(in: 0...12, using: &random)).map { _ in
        Unicode.Scalar(UInt32.random(in: 1...0x2FF, using: &random)) ?? "x"
      }
      let text = String(String.UnicodeScalarView(value))
      let line = VMXEscape.line("guestinfo.x", text) + [0x0A]
      #expect(line == judge.line(Array("guestinfo.x".utf8), Array(text.utf8)), "seed \(seed): \(text)")
      #expect(try judge.read(line).map(\.value) == [Array(text.utf8)], "seed \(seed): \(text)")
    }
  }

  @Test("every line of a stub is the one that VMware would write for it", arguments: 1...8)
  func stubs(_ seed: UInt64) throws {
    let judge = try VMwareDictionary()
    var random = SeededGenerator(seed: seed)
    var lines = 0
    for _ in 0..<40 {
      var source = Array(StubSample.text.utf8)
      for _ in 0..<20 { source += line(&random) + ends.randomElement(using: &random)! }
      for name in ["displayName", "annotation", "vendor.note", "ethernet0.networkName"] {
        let value = (0..<4).flatMap { _ in tokens.randomElement(using: &random)! }
        source += Array("\(name) = \"".utf8) + VMXEscape.encode(value) + Array("\"\n".utf8)
      }
      let stub = try StubSample.stub(of: source).bytes
      for line in try VMXDocument(parsing: stub).lines {
        guard case .entry(let name, let value) = line.content else { continue }
        lines += 1
        #expect(line.end == [0x0A])
        #expect(judge.line(name, value) == line.bytes + line.end, "seed \(seed): \(shown(line.bytes))")
      }
      #expect(try ours(stub) == judge.read(stub), "seed \(seed)")
    }
    #expect(lines > 40 * 20, "seed \(seed)")
  }
}
