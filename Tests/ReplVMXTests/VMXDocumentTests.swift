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
      "", "   ", "a = \"b\0c\"", "\"",
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
    #expect(
      try value(".encoding = \"GBK\"\n", [0x41, 0xB0, 0xA1]) == ("A\u{FFFD}\u{FFFD}", .other("GBK"), 1))
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
