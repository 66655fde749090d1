import ReplModel
import Testing

@testable import ReplVMX

func document(_ text: String) throws -> VMXDocument { try VMXDocument(parsing: Array(text.utf8)) }

@Suite("VMX text") struct VMXDocumentTests {
  @Test(
    "lines are read as VMware's reader reads them",
    arguments: [
      ("a = \"b\"", "a", "b"), ("  a\t=\t\"b c\"  ", "a", "b c"), ("a=b", "a", "b"), ("a =", "a", ""),
      ("a = \"\"", "a", ""),
      ("a = \"b\" # note", "a", "b"), ("a = b # note", "a", "b"), ("a = b#note", "a", "b"),
      ("a = #x", "a", ""),
      ("a = \"#x\"", "a", "#x"), ("a.b:0 = \"%25\\\"", "a.b:0", "%25\\"), ("a\"b = \"c\"", "a\"b", "c"),
      // Escapes: quote, bar, line feed; what only begins like one stays, with the byte that breaks it off.
      ("a = \"|22|7C|0a\"", "a", "\"|\n"), ("a = \"|\"", "a", "|"), ("a = \"|2\"", "a", "|2"),
      ("a = \"|zz\"", "a", "|zz"),
      ("a = \"||7C\"", "a", "||7C"), ("a = \"|0|22\"", "a", "|0|22"), ("a = \"x|00y\"", "a", "x"),
      ("a = |22", "a", "\""),
      ("a = \"|C3|BC\"", "a", "ü"), ("a = \"tab\there\"", "a", "tab\there"), ("a = b\"c", "a", "b\"c"),
    ])
  func entries(_ line: String, _ name: String, _ value: String) throws {
    let document = try document(line + "\n")
    #expect(document.entries == [VMXDocument.Entry(name: name, value: value, line: 1)])
  }

  @Test(
    "what does not parse is no entry and no error",
    arguments: [
      "a = b c", "a = \"b\"x", "a = \"b", "a b = \"c\"", "= \"b\"", "BadLine without equals", "a#b = \"c\"",
      "# a = \"b\"",
      "", "   ", "a = \"b\0c\"", "a\0 = \"c\"", "\0a = b", "\"",
    ])
  func noEntries(_ line: String) throws {
    let document = try document(line + "\n")
    #expect(document.entries.isEmpty)
    #expect(document.serialize() == Array((line + "\n").utf8))
  }

  @Test("LF, CRLF, lone CR, a BOM and a #! line are taken, and every byte is kept")
  func lineEnds() throws {
    let text = "\u{FEFF}#!/usr/bin/vmware\na = \"1\"\r\nb = \"2\"\r\r\njunk line\nc = \"3\""
    let document = try document(text)
    #expect(document.entries.map(\.name) == ["a", "b", "c"])
    #expect(document.entries.map(\.line) == [2, 3, 6])
    #expect(document.serialize() == Array(text.utf8))
  }

  @Test("names compare without case; of two the last one counts and is reported")
  func names() throws {
    let document = try document("MemSize = \"1\"\nmemsize = \"2\"\nmemSIZE = \"3\"\nx = \"4\"\n")
    #expect(document["MEMSIZE"] == "3" && document["y"] == nil)
    #expect(document.notes == ["memsize stands there more than once: the last one counts"])
  }

  @Test("the encoding is the one that is named; UTF-8 that is none is windows-1252; others are noted")
  func encodings() throws {
    func value(_ label: String, _ bytes: [UInt8]) throws -> (String?, VMXEncoding, Int) {
      let text = Array("\(label)a = \"".utf8) + bytes + Array("\"\n".utf8)
      let document = try VMXDocument(parsing: text)
      #expect(document.serialize() == text)
      return (document["a"], document.encoding, document.notes.count)
    }
    #expect(try value("", Array("ü".utf8)) == ("ü", .utf8, 0))
    #expect(try value(".encoding = \"UTF-8\"\n", Array("ü".utf8)) == ("ü", .utf8, 0))
    #expect(try value("", [0xFC, 0x80]) == ("ü€", .windows1252, 1))
    #expect(try value(".ENCODING = \"windows-1252\"\n", [0xFC]) == ("ü", .windows1252, 0))
    #expect(try value(".encoding = \"windows-1252\"\n", [0x81, 0xFC]) == ("\u{FFFD}ü", .windows1252, 0))
    let unknown = ".encoding = \"EBCDIC-XY\"\n"
    #expect(try value(unknown, [0x41, 0xB0, 0xA1]) == ("A\u{FFFD}\u{FFFD}", .other("EBCDIC-XY"), 1))
  }

  @Test(
    "the character sets of Asian Windows and others are read",
    arguments: [
      ("GBK", [0x41, 0xCA, 0xFD, 0xBE, 0xDD], "A数据"), ("gb2312", [0xCA, 0xFD], "数"),
      ("GB18030", [0x81, 0x30, 0x81, 0x30], "\u{80}"), ("Big5", [0xB8, 0xEA, 0xAE, 0xC6], "資料"),
      // The second byte of the first character is a backslash, of the second one a bar, escaped by VMware.
      ("Shift_JIS", Array("C:\\".utf8) + [0x95, 0x5C, 0x83] + Array("|7C".utf8), "C:\\表ポ"),
      ("windows-932", [0x93, 0xFA, 0x96, 0x7B], "日本"), ("EUC-KR", [0xC7, 0xD1], "한"),
      ("windows-1251", [0xC4, 0xE0], "Да"), ("EUC-JP", [0xC6, 0xFC], "日"),
      // What makes no text there shows as such; the rest of the file is read.
      ("GBK", [0x41, 0xFF], "A\u{FFFD}"),
    ] as [(String, [UInt8], String)])
  func characterSets(_ label: String, _ bytes: [UInt8], _ text: String) throws {
    let file =
      Array(".encoding = \"\(label)\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"".utf8) + bytes
      + Array(".vmdk\"\n".utf8)
    let document = try VMXDocument(parsing: file)
    #expect(document["scsi0:0.fileName"] == text + ".vmdk" && document.serialize() == file)
    #expect(document.notes.isEmpty && document.diskEntries().count == 1)
  }

  @Test(
    "a character set in which ASCII is something else is not used, nor what is no name of one",
    arguments: ["UTF-16", "UTF-7", "IBM037", "JOHAB", "UTF-8//TRANSLIT", "../../x", "a b", "", "x\u{1B}[2J"])
  func unusableSets(_ label: String) throws {
    let document = try document(".encoding = \"\(label)\"\nscsi0:0.present = \"TRUE\"\n")
    #expect(document["scsi0:0.present"] == "TRUE" && document.notes.count == 1)
    #expect(document.notes.allSatisfy { $0.contains("is not known") && !$0.contains("\u{1B}") })
  }

  @Test("a NUL ends a line for VMware's reader, so it does here, and the line is reported")
  func nul() throws {
    let text = "a = \"b\"\0 c\nd = e\0f\n"
    let document = try document(text)
    #expect(document["a"] == "b" && document["d"] == "e" && document.serialize() == Array(text.utf8))
    #expect(
      document.notes == [1, 2].map { "line \($0) holds a NUL byte: what follows it is not read" })
  }

  @Test("the list of a VM's snapshots has the same grammar")
  func snapshotList() throws {
    let document = try document(
      """
      .encoding = "UTF-8"
      snapshot.lastUID = "7"
      snapshot.current = "7"
      snapshot0.uid = "7"
      snapshot0.displayName = "before |22patch|22"
      snapshot0.numDisks = "1"
      snapshot0.disk0.fileName = "web-01.vmdk"
      snapshot0.disk0.node = "scsi0:0"
      snapshot.numSnapshots = "1"

      """)
    #expect(document["snapshot.numsnapshots"] == "1" && document["snapshot0.disk0.node"] == "scsi0:0")
    #expect(document["Snapshot0.DisplayName"] == "before \"patch\"" && document.notes.isEmpty)
    #expect(document.diskEntries().isEmpty)
  }

  @Test("size and lines are bounded")
  func limits() throws {
    let large = try #require(throws: VMXError.self) {
      _ = try VMXDocument(parsing: [UInt8](repeating: 0x23, count: (1 << 20) + 1))
    }
    #expect(large.code == .tooLarge)
    let many = try #require(throws: VMXError.self) {
      _ = try VMXDocument(parsing: [UInt8](repeating: 0x0A, count: 65_537))
    }
    #expect(many.code == .tooManyLines)
    #expect(try VMXDocument(parsing: [UInt8](repeating: 0x0A, count: 65_536)).lines.count == 65_536)
  }

  @Test("the VM's identity is uuid.bios, without it vc.uuid, without both nothing")
  func identity() throws {
    let bios = "uuid.bios = \"56 4d ef 2d 3f d4 14 e2-2e 04 c5 34 3a ec ee 65\"\n"
    let vc = "vc.uuid = \"50 3e 06 db f8 d5 45 8e-a2 fb f9 82 02 53 a7 be\"\n"
    #expect(try document(vc + bios).vmID == VMID("564def2d-3fd4-14e2-2e04-c5343aecee65"))
    #expect(try document(vc).vmID == VMID("503e06db-f8d5-458e-a2fb-f9820253a7be"))
    #expect(try document("uuid.bios = \"none\"\n" + vc).vmID == VMID("503e06db-f8d5-458e-a2fb-f9820253a7be"))
    #expect(try document("displayName = \"x\"\n").vmID == nil)
  }

  @Test("display name, NVRAM and state are read from their lines")
  func facts() throws {
    let on = try document(
      "DisplayName = \"db |22prod|22 50%25\"\nnvram = \"a.nvram\"\ncheckpoint.vmState ="
        + " \"x.vmss\"\nencryption.data = \"z\"\n"
    )
    #expect(on.displayName == "db \"prod\" 50%25" && on.nvramFileName == "a.nvram")
    #expect(on.isSuspended && on.isEncrypted)
    let off = try document("nvram = \"\"\ncheckpoint.vmState = \"\"\n")
    #expect(off.nvramFileName == nil && !off.isSuspended && !off.isEncrypted && off.displayName == nil)
    #expect(try document("encryption.keySafe = \"x\"\n").isEncrypted)
  }
}
