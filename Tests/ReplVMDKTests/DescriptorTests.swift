import ReplModel
import Testing

@testable import ReplVMDK

private func parse(_ text: String) throws(VMDKError) -> VMDKDescriptor {
  try VMDKDescriptor.parse(Array(text.utf8), path: "d.vmdk")
}

private func failure(_ text: String) throws -> VMDKError {
  try #require(throws: VMDKError.self) { _ = try parse(text) }
}

@Suite("VMDK descriptor") struct DescriptorTests {
  @Test("an ESXi descriptor with change tracking is read as it stands")
  func esxi() throws {
    let descriptor = try parse(
      """
      # Disk DescriptorFile
      version=3
      encoding="UTF-8"
      CID=fffffffe
      parentCID=ffffffff
      isNativeSnapshot="no"
      createType="vmfs"

      # Extent description
      RW 90194313216 VMFS "web-flat.vmdk"

      # Change Tracking File
      changeTrackPath="web-ctk.vmdk"

      # The Disk Data Base 
      #DDB

      ddb.adapterType = "lsilogic"
      ddb.geometry.cylinders = "5614336"
      ddb.thinProvisioned = "1"

      """)
    #expect(descriptor.version == 3)
    #expect(descriptor.contentID == 0xFFFF_FFFE)
    #expect(descriptor.parentContentID == nil)
    #expect(descriptor.createType == .vmfs)
    #expect(descriptor.sectorCount == 90_194_313_216)
    #expect(descriptor.changeTrackPath == "web-ctk.vmdk")
    #expect(!descriptor.isEncrypted)
    #expect(
      descriptor.extents == [
        VMDKExtentLine(
          access: .readWrite, sectorCount: 90_194_313_216, kind: .vmfs, fileName: "web-flat.vmdk",
          offsetSectors: nil,
          namesDevice: false, line: 10)
      ])
    #expect(descriptor.diskDataBase.map(\.key) == ["adapterType", "geometry.cylinders", "thinProvisioned"])
  }

  @Test("case, line ends, a BOM, NUL padding, blanks, comments and an unpadded CID make no difference")
  func lenient() throws {
    let text =
      "\u{FEFF}# disk Descriptor File\r\n\r\n   VERSION = 1  # old\r\n cid ="
      + " 44067CF\r\nParentCID=FFFFFFFF\r\n"
      + "createtype = \"VMFS\"\r\n\t# note\r\n\r\nrw 128 vmfs \"a #1 [x].vmdk\" # note\r\nDDB.UUID ="
      + " \"x\"\r\n"
      + String(repeating: "\0", count: 300)
    let descriptor = try parse(text)
    #expect(descriptor.contentID == 0x4406_7CF)
    #expect(descriptor.createType == .vmfs)
    #expect(descriptor.extents.map(\.fileName) == ["a #1 [x].vmdk"])
    #expect(descriptor.diskDataBase == [DiskFacts.Entry(key: "UUID", value: "x")])
  }

  @Test("what QEMU leaves behind the end of a descriptor is not read, but no more than that")
  func staleTail() throws {
    let text = descriptorText(extents: "RW 8 FLAT \"a\" 0")
    #expect(try parse(text + "\0\"19\"\n\0\0\0").extents.count == 1)
    #expect(try failure(text + "\0RW 8 FLAT \"b\" 0\n").code == .strayNUL)
  }

  @Test("the signature may be missing when version and createType are there")
  func noSignature() throws {
    let lines = "CID=1\nparentCID=ffffffff\nRW 8 FLAT \"a\" 0\n"
    #expect(try parse("version=1\ncreateType=\"monolithicFlat\"\n" + lines).extents.count == 1)
    #expect(try failure("createType=\"monolithicFlat\"\n" + lines).code == .notADescriptor)
    #expect(try failure("version=1\n" + lines).code == .notADescriptor)
    #expect(try failure("these are\nnotes of mine\n").code == .notADescriptor)
    #expect(try failure("\u{1}\0\u{2}\0\nabc").code == .notADescriptor)
    #expect(try failure("").code == .notADescriptor)
  }

  @Test("a blank line before an extent does not count the extent twice")
  func blankBeforeExtent() throws {
    let descriptor = try parse(descriptorText(extents: "\n\nRW 8 FLAT \"a\" 0\n\nRW 4 FLAT \"b\" 7"))
    #expect(descriptor.extents.map(\.sectorCount) == [8, 4])
    #expect(descriptor.extents.map(\.offsetSectors) == [0, 7])
  }

  @Test(
    "a header line that is missing, doubled or wrong is refused, each with its own reason",
    arguments: [
      ("createType=\"monolithicFlat\"", "", .missingKey, "there is no createType line"),
      ("CID=a1b2c3d4\n", "", .missingKey, "there is no CID line"),
      ("parentCID=ffffffff\n", "", .missingKey, "there is no parentCID line"),
      ("CID=a1b2c3d4\n", "CID=1\nCID=1\n", .duplicateKey, "d.vmdk: line 4: CID stands in line 3 already"),
      (
        "parentCID=ffffffff\n", "parentCID=ffffffff\nparentcid=1\n", .duplicateKey,
        "d.vmdk: line 5: parentcid stands in line 4 already"
      ),
      (
        "createType=", "CREATETYPE=\"vmfs\"\ncreateType=", .duplicateKey,
        "d.vmdk: line 6: createType stands in line 5 already"
      ),
      ("version=1", "version=4", .badVersion, "d.vmdk: line 2: version 4 is not known (1 to 3 are)"),
      ("version=1", "version=x", .badVersion, "version x is not known"),
      (
        "CID=a1b2c3d4\n", "CID=123456789\n", .badContentID,
        "\"123456789\" is not a content ID of 1 to 8 hex digits"
      ),
      ("CID=a1b2c3d4\n", "CID=+1\n", .badContentID, "\"+1\" is not a content ID"),
      (
        "\"monolithicFlat\"", "\"holographic\"", .unknownCreateType, "createType \"holographic\" is not known"
      ),
      ("\"monolithicFlat\"", "\"monolithicFlat", .missingQuote, "line 5: the closing quote is missing"),
      (
        "\"monolithicFlat\"", "\"monolithicFlat\" x", .unreadableLine, "there is text after the closing quote"
      ),
      ("version=1", "version=1\nhello", .unreadableLine, "line 3: this is neither key=value nor an extent"),
      ("version=1", "version=1\na\0b", .strayNUL, "line 3: a NUL stands between text"),
    ] as [(String, String, VMDKError.Code, String)])
  func headerLines(_ old: String, _ new: String, _ code: VMDKError.Code, _ text: String) throws {
    let good = descriptorText(extents: "RW 8 FLAT \"a\" 0")
    _ = try parse(good)
    let error = try failure(replacing(old, with: new, in: good))
    #expect(error.code == code)
    #expect(error.description.contains(text), "\(error)")
  }

  @Test(
    "an extent line that is not understood is refused, each with its own reason",
    arguments: [
      ("RX 8 FLAT \"a\" 0", .unknownAccess, "line 8: access \"RX\" is not RW, RDONLY or NOACCESS"),
      ("RW 8 FLOT \"a\" 0", .unknownExtentType, "extent type \"FLOT\" is not known"),
      ("RW 0 FLAT \"a\" 0", .badSectorCount, "\"0\" is not a count of sectors above 0"),
      ("RW -8 FLAT \"a\" 0", .badSectorCount, "\"-8\" is not a count"),
      ("RW 99999999999999999999 FLAT \"a\" 0", .badSectorCount, "is not a count"),
      ("RW 9223372036854775807 FLAT \"a\" 0", .diskTooLarge, "more than 64 TiB"),
      ("RW 8 FLAT \"a\"", .missingOffset, "must say where it starts"),
      ("RW 8 FLAT \"a\" x", .badOffset, "\"x\" is not an offset"),
      ("RW 8 FLAT \"a\" 9223372036854775807", .badOffset, "is not an offset"),
      ("RW 8 VMFS \"a\" 8", .badOffset, "a VMFS extent cannot start at sector 8"),
      ("RW 8 FLAT a 0", .missingName, "must name its file in quotes"),
      ("RW 8 FLAT \"a 0", .missingQuote, "closing quote of the file name is missing"),
      ("RW 8", .unknownExtentType, "extent type \"\" is not known"),
      ("RW", .badSectorCount, "\"\" is not a count"),
    ] as [(String, VMDKError.Code, String)])
  func extentLines(_ line: String, _ code: VMDKError.Code, _ text: String) throws {
    let error = try failure(descriptorText(extents: line))
    #expect(error.code == code)
    #expect(error.description.contains(text), "\(error)")
  }

  @Test("extents that add up to more than any disk are refused before anything is opened")
  func sum() throws {
    let line = "RW 137438953472 FLAT \"a\" 0\n"
    #expect(try parse(descriptorText(extents: line)).sectorCount == 1 << 37)
    #expect(try failure(descriptorText(extents: line + line)).code == .diskTooLarge)
  }

  @Test("size, lines and extents are bounded")
  func bounds() throws {
    let good = descriptorText(extents: "RW 8 FLAT \"a\" 0")
    let long = good + String(repeating: "#\n", count: 65_536)
    #expect(try failure(long).code == .tooManyLines)
    let huge = [UInt8](repeating: UInt8(ascii: "#"), count: (10 << 20) + 1)
    let error = try #require(throws: VMDKError.self) { _ = try VMDKDescriptor.parse(huge, path: "d.vmdk") }
    #expect(error.code == .descriptorTooLarge)
    let many = String(repeating: "RW 1 FLAT \"a\" 0\n", count: 32_769)
    #expect(try failure(descriptorText(extents: many)).code == .tooManyExtents)
  }

  @Test("file names are read in the descriptor's encoding, and refused when that is not known")
  func encodings() throws {
    func text(_ encoding: String, _ name: [UInt8]) -> [UInt8] {
      let parts = descriptorText(header: "encoding=\"\(encoding)\"", extents: "RW 8 FLAT \"@\" 0").utf8.split(
        separator: UInt8(ascii: "@"))
      return Array(parts[0]) + name + Array(parts[1])
    }
    func name(_ bytes: [UInt8]) throws -> String? {
      try VMDKDescriptor.parse(bytes, path: "d.vmdk").extents[0].fileName
    }
    #expect(try name(text("UTF-8", Array("Büro".utf8))) == "Büro")
    #expect(try name(text("windows-1252", [0x42, 0xFC, 0x80])) == "Bü€")
    // 服务器 in three character sets; the second byte of the Shift_JIS 表 is that of a backslash.
    #expect(try name(text("GBK", [0xB7, 0xFE, 0xCE, 0xF1, 0xC6, 0xF7])) == "服务器")
    #expect(try name(text("Big5", [0xA6, 0xF8, 0xAA, 0x41, 0xBE, 0xB9])) == "伺服器")
    #expect(try name(text("Shift_JIS", [0x95, 0x5C, 0x2D, 0x5C])) == "表-\\")
    #expect(try name(text("windows-1251", [0xC4, 0xE8, 0xF1, 0xEA])) == "Диск")
    #expect(try name(text("klingon", Array("plain".utf8))) == "plain")
    for label in ["klingon", "UTF-16", "GBK//IGNORE"] {
      let unknown = try #require(throws: VMDKError.self) { _ = try name(text(label, [0xB0, 0xA1])) }
      #expect(unknown.code == .unknownEncoding && unknown.remedy == .stopVM)
    }
    let half = try #require(throws: VMDKError.self) { _ = try name(text("GBK", [0xB7])) }
    #expect(half.code == .undecodableName)
    let broken = try #require(throws: VMDKError.self) { _ = try name(text("UTF-8", [0xFC])) }
    #expect(broken.code == .undecodableName)
    let gap = try #require(throws: VMDKError.self) { _ = try name(text("windows-1252", [0x81])) }
    #expect(gap.code == .undecodableName)
  }

  @Test("the bytes of a name are kept where they are not the UTF-8 of its text, hints included")
  func rawNames() throws {
    let parts = replacing(
      "parentCID=ffffffff", with: "parentCID=1\nparentFileNameHint=\"@\"",
      in: descriptorText(header: "encoding=\"GBK\"", extents: "RW 8 FLAT \"@\" 0")
    ).utf8.split(separator: UInt8(ascii: "@"))
    let name: [UInt8] = [0xB7, 0xFE]  // 服
    let bytes = Array(parts[0]) + name + Array(parts[1]) + name + Array(parts[2])
    let descriptor = try VMDKDescriptor.parse(bytes, path: "d.vmdk")
    #expect(descriptor.parentFileNameHint == "服" && descriptor.rawParentFileNameHint == name)
    #expect(descriptor.extents[0].fileName == "服" && descriptor.extents[0].rawFileName == name)
    let plain = try parse(descriptorText(header: "encoding=\"GBK\"", extents: "RW 8 FLAT \"a\" 0"))
    #expect(plain.extents[0].rawFileName == nil)
  }

  @Test("every createType is known in any case and under its other names")
  func createTypes() {
    for type in VMDKCreateType.allCases { #expect(VMDKCreateType(type.rawValue.uppercased()) == type) }
    #expect(VMDKCreateType("2GbMaxExtentFlat") == .twoGbMaxExtentFlat)
    #expect(VMDKCreateType("2GbMaxExtentSparse") == .twoGbMaxExtentSparse)
    #expect(VMDKCreateType("vmfsSeSparse") == .seSparse)
    #expect(VMDKCreateType("vmfsRawDeviceMap") == .vmfsRDM)
    #expect(VMDKCreateType("vmfsPassthroughRawDeviceMap") == .vmfsRDMP)
    #expect(VMDKCreateType("vmfs2") == nil)
  }
}

func replacing(_ old: String, with new: String, in text: String) -> String {
  guard let range = text.firstRange(of: old) else {
    Issue.record("the text to replace is not there: \(old)")
    return text
  }
  return text.replacingCharacters(range, new)
}

extension String {
  fileprivate func replacingCharacters(_ range: Range<Index>, _ new: String) -> String {
    String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
  }
}
