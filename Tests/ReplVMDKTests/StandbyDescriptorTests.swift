import ReplModel
import Testing

@testable import ReplVMDK

private func facts(_ entries: [(String, String)]) -> DiskFacts {
  DiskFacts(entries: entries.map { DiskFacts.Entry(key: $0.0, value: $0.1) })
}

private func code(_ descriptor: StandbyDescriptor) throws -> VMDKError.Code {
  try #require(throws: VMDKError.self) { _ = try descriptor.text() }.code
}

@Suite("descriptor of a standby disk") struct StandbyDescriptorTests {
  private let source = facts([
    ("adapterType", "lsilogic"), ("geometry.cylinders", "5614336"), ("geometry.heads", "255"),
    ("geometry.sectors", "63"), ("longContentID", "0123456789abcdef01234567fffffffe"),
    ("thinProvisioned", "1"),
    ("uuid", "60 00 C2 99 d3 f5 dc ad-9e 25 3e 89 48 2c 3f de"), ("virtualHWVersion", "19"),
  ])

  @Test("the source's facts are kept verbatim, the content ID is our own")
  func golden() throws {
    let descriptor = StandbyDescriptor(
      sizeBytes: 90_194_313_216 * 512, facts: source, extentFileName: "scsi0-0-flat.vmdk", contentID: 0xBEEF)
    let expected = """
      # Disk DescriptorFile
      version=1
      encoding="UTF-8"
      CID=0000beef
      parentCID=ffffffff
      isNativeSnapshot="no"
      createType="monolithicFlat"

      # Extent description
      RW 90194313216 FLAT "scsi0-0-flat.vmdk" 0

      # The Disk Data Base
      #DDB

      ddb.adapterType = "lsilogic"
      ddb.geometry.cylinders = "5614336"
      ddb.geometry.heads = "255"
      ddb.geometry.sectors = "63"
      ddb.thinProvisioned = "1"
      ddb.uuid = "60 00 C2 99 d3 f5 dc ad-9e 25 3e 89 48 2c 3f de"
      ddb.virtualHWVersion = "19"
      ddb.longContentID = "@"

      """
    let text = try descriptor.text()
    let id = try #require(text.split(separator: "ddb.longContentID = \"").last?.prefix(32))
    #expect(text == replacing("@", with: String(id), in: expected))
    #expect(id.hasSuffix("0000beef") && id.utf8.allSatisfy { HexText.value($0) != nil })
    #expect(!id.hasPrefix("0123456789abcdef"))
    #expect(try descriptor.text() == text)
  }

  @Test("what is written is read back the same")
  func roundTrip() throws {
    let descriptor = StandbyDescriptor(
      sizeBytes: 4096, facts: source, extentFileName: "Büro #1.vmdk", contentID: 7)
    let read = try VMDKDescriptor.parse(Array(descriptor.text().utf8), path: "d.vmdk")
    #expect(read.createType == .monolithicFlat && read.contentID == 7 && read.parentContentID == nil)
    #expect(read.extents.map(\.fileName) == ["Büro #1.vmdk"] && read.sectorCount == 8)
    let kept = KeptFacts(of: read.diskDataBase).facts
    #expect(
      kept.entries.filter { $0.key != "longContentID" } == source.entries.filter { $0.key != "longContentID" }
    )
  }

  @Test(
    "a disk on a block device is a fullDevice that names the device; names that break the text are refused")
  func onDevice() throws {
    func descriptor(_ path: String) -> StandbyDescriptor {
      StandbyDescriptor(
        sizeBytes: 1 << 20, facts: source, extentFileName: path, contentID: 7, isOnDevice: true)
    }
    let text = try descriptor("/dev/mapper/dr-web01-0").text()
    #expect(text.contains("\nRW 2048 FLAT \"/dev/mapper/dr-web01-0\" 0\n"), "\(text)")
    let read = try VMDKDescriptor.parse(Array(text.utf8), path: "d.vmdk")
    #expect(read.createType == .fullDevice && read.sectorCount == 2048)
    #expect(read.extents.map(\.fileName) == ["/dev/mapper/dr-web01-0"])
    for path in ["dev/sdb", "/dev/a\"b", "/dev/a\nb"] {
      #expect(try code(descriptor(path)) == .badStandbyName)
    }
  }

  @Test(
    "geometry and adapter are computed when the source has none or half of one",
    arguments: [
      (1 << 20, ["1", "64", "32"]), ((1 << 30) - 512, ["1023", "64", "32"]), (1 << 30, ["512", "128", "32"]),
      ((2 << 30) - 512, ["1023", "128", "32"]), (2 << 30, ["261", "255", "63"]),
      (90_194_313_216 * 512, ["5614336", "255", "63"]), (512, ["1", "64", "32"]),
    ] as [(Int64, [String])])
  func geometry(_ sizeBytes: Int64, _ expected: [String]) throws {
    for known in [facts([]), facts([("geometry.cylinders", "9"), ("geometry.heads", "x")])] {
      let text = try StandbyDescriptor(
        sizeBytes: sizeBytes, facts: known, extentFileName: "a", contentID: 1
      ).text()
      let lines = zip(["cylinders", "heads", "sectors"], expected).map { "ddb.geometry.\($0) = \"\($1)\"\n" }
      #expect(text.contains("ddb.adapterType = \"lsilogic\"\n" + lines.joined()), "\(text)")
      #expect(text.split(separator: "\n").filter { $0.hasPrefix("ddb.geometry") }.count == 3)
    }
  }

  @Test("facts of a peer cannot bring in other keys or lines")
  func injection() throws {
    let evil = facts([
      ("uuid", "1\"\nRW 8 FLAT \"/etc/passwd\" 0\n"), ("toolsVersion", "1\r\n2"), ("changeTrackPath", "x"),
      ("uuid\" = \"x\nparentCID", "1"), ("deletable", String(repeating: "a", count: 200)),
      ("adapterType", "ide"),
      ("ADAPTERTYPE", "buslogic"),
    ])
    let text = try StandbyDescriptor(sizeBytes: 512, facts: evil, extentFileName: "a", contentID: 1).text()
    let ddb = text.split(separator: "\n").filter { $0.hasPrefix("ddb.") }.map { $0.prefix { $0 != "=" } }
    #expect(
      ddb == [
        "ddb.geometry.cylinders ", "ddb.geometry.heads ", "ddb.geometry.sectors ", "ddb.adapterType ",
        "ddb.longContentID ",
      ])
    #expect(text.contains("ddb.adapterType = \"ide\"") && !text.contains("passwd"))
    #expect(text.split(separator: "\n").count == 16)
  }

  @Test("sizes that are not whole sectors, names that are no plain names and the ID of no parent are refused")
  func refusals() throws {
    func make(_ size: Int64, _ name: String, _ contentID: UInt32) -> StandbyDescriptor {
      StandbyDescriptor(sizeBytes: size, facts: facts([]), extentFileName: name, contentID: contentID)
    }
    for size in [0, -512, 511, 513, PageGrid.maximumSizeBytes + 512] as [Int64] {
      #expect(try code(make(size, "a", 1)) == .sizeNotInSectors)
    }
    for name in ["", "..", "a/b", "/a", "a\"b", "a\nb", "a\u{7F}", String(repeating: "a", count: 256)] {
      #expect(try code(make(512, name, 1)) == .badStandbyName)
    }
    #expect(try code(make(512, "a", .max)) == .badContentID)
    #expect(try make(512, "a", .max - 1).text().contains("CID=fffffffe\n"))
  }

  @Test("different content IDs give different long content IDs")
  func longIDs() throws {
    let ids = try Set(
      (0..<500).map { number in
        try StandbyDescriptor(sizeBytes: 512, facts: facts([]), extentFileName: "a", contentID: number).text()
          .split(separator: "longContentID = \"").last?.prefix(24)
      })
    #expect(ids.count == 500)
  }
}
