import FoundationEssentials
import ReplModel
import Testing

@Suite struct IdentifierTests {
  @Test("an identity is read from every spelling and written in one")
  func spellings() throws {
    let vmware = try #require(VMID("56 4d ef 2d 3f d4 14 e2-2e 04 c5 34 3a ec ee 65"))
    #expect(vmware.description == "564def2d-3fd4-14e2-2e04-c5343aecee65")
    #expect(VMID("564DEF2D-3FD4-14E2-2E04-C5343AECEE65") == vmware)
    #expect(VMID("564def2d3fd414e22e04c5343aecee65") == vmware)
    #expect(vmware.bytes.first == 0x56 && vmware.bytes.last == 0x65 && vmware.bytes.count == 16)
  }

  @Test(
    "what is not 32 hex digits is no identity",
    arguments: ["", "56", "g64def2d3fd414e22e04c5343aecee65", "0/.."])
  func refused(_ text: String) { #expect(VMID(text) == nil) }

  @Test("33 digits are refused, random identities differ and carry version 4")
  func random() {
    #expect(VMID("564def2d3fd414e22e04c5343aecee650") == nil)
    let (one, two) = (VMID.random(), VMID.random())
    #expect(one != two)
    #expect(one.bytes[6] >> 4 == 4 && one.bytes[8] >> 6 == 2)
  }
}

@Suite struct WallTimeTests {
  @Test(
    "times are written as RFC 3339 in UTC and read back",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (1_795_365_845_123, "2026-11-22T16:44:05.123Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (-1, "1969-12-31T23:59:59.999Z"),
    ] as [(Int64, String)])
  func text(_ milliseconds: Int64, _ text: String) {
    #expect(WallTime(millisecondsSince1970: milliseconds).description == text)
    #expect(WallTime(text)?.millisecondsSince1970 == milliseconds)
  }

  @Test(
    "half-right times are refused",
    arguments: ["2026-11-22", "2026-13-22T16:44:05.123Z", "2026-11-22T16:44:05.123+"])
  func refused(_ text: String) { #expect(WallTime(text) == nil) }

  @Test("lag is never negative when clocks disagree")
  func lag() {
    let earlier = WallTime(millisecondsSince1970: 1000)
    #expect(earlier.seconds(since: WallTime(millisecondsSince1970: 5000)) == 0)
    #expect(WallTime(millisecondsSince1970: 2500).seconds(since: earlier) == 1.5)
  }
}

@Suite struct GridAndSlotTests {
  @Test("sizes that are not a multiple of the page have a short last page")
  func shortPage() throws {
    let grid = try #require(PageGrid(sizeBytes: 1_050_112, pageSizeBytes: 4096))
    #expect(grid.pageCount == 257 && grid.leafCount == 2)
    #expect(grid.bytes(of: 256..<257) == ByteRange(offset: 1_048_576, length: 1536))
    #expect(grid.pages(ofLeaf: 1) == 256..<257)
  }

  @Test("sizes and page sizes out of range are refused")
  func refused() {
    #expect(PageGrid(sizeBytes: 0, pageSizeBytes: 4096) == nil)
    #expect(PageGrid(sizeBytes: -1, pageSizeBytes: 4096) == nil)
    #expect(PageGrid(sizeBytes: 1 << 47, pageSizeBytes: 4096) == nil)
    #expect(PageGrid(sizeBytes: 4096, pageSizeBytes: 5000) == nil)
    let json = Array(#"{"sizeBytes":-5,"pageSizeBytes":4096}"#.utf8)
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(PageGrid.self, from: Data(json)) }
  }

  @Test(
    "slots have a closed grammar",
    arguments: ["scsi4:0", "scsi0:64", "ide0:2", "scsi0", "scsi0:0/..", "usb0:0", "scsi-1:0"])
  func slots(_ text: String) { #expect(DiskSlot(text) == nil) }

  @Test("a slot's file stem is a plain name")
  func stem() { #expect(DiskSlot("SCSI0:12")?.fileStem == "scsi0-12") }

  @Test("byte ranges that overflow are refused")
  func overflow() {
    #expect(ByteRange(checkedOffset: Int64.max, length: 1) == nil)
    #expect(ByteRange(checkedOffset: -1, length: 1) == nil)
    #expect(ByteRange(offset: 0, length: 8).intersection(ByteRange(offset: 6, length: 9))?.length == 2)
    #expect(ByteRange(offset: 0, length: 8).intersection(ByteRange(offset: 8, length: 9)) == nil)
  }

  @Test("text from outside cannot steer a terminal")
  func safeText() {
    #expect(SafeText.printable("a\u{1B}[31mb\nc\u{202E}d") == "a?[31mb?c?d")
    #expect(SafeText.printable(String(repeating: "x", count: 300)).count == 257)
  }

  @Test("fingerprints are read with colons and in any case")
  func fingerprint() {
    let hex = String(repeating: "aB", count: 32)
    #expect(Fingerprint("sha256:" + hex)?.description == "sha256:" + hex.lowercased())
    #expect(Fingerprint(hex) == nil)
    #expect(Fingerprint("sha256:aabb") == nil)
  }
}
