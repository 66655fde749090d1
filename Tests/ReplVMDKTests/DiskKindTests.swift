import ReplModel
import Testing

@testable import ReplVMDK

@Suite("disks that are not read") struct DiskKindTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func code(_ text: String, expecting part: String) throws -> VMDKError.Code {
    try folder.write("a", [UInt8](repeating: 1, count: 4096))
    try folder.write("d.vmdk", text)
    let error = try refusal(of: "d.vmdk", in: folder)
    #expect(error.description.hasPrefix("d.vmdk: ") && error.description.contains(part), "\(error)")
    return error.code
  }

  @Test(
    "each kind is refused by its name, with what to do",
    arguments: [
      ("vsanSparse", "RW 8 VSANSPARSE \"a\"", "vsanSparse: it is a vSAN object"),
      ("vmfsRDM", "RW 8 VMFSRDM \"a\"", "vmfsRDM: it maps a LUN (RDM, virtual mode)"),
      ("vmfsRawDeviceMap", "RW 8 VMFSRDM \"a\"", "vmfsRDM: it maps a LUN (RDM, virtual mode)"),
      ("vmfsRDMP", "RW 8 VMFSRDM \"a\"", "vmfsRDMP: it maps a LUN (RDM, physical mode)"),
      ("vmfsPassthroughRawDeviceMap", "RW 8 VMFSRDM \"a\"", "vmfsRDMP: it maps a LUN (RDM, physical mode)"),
      ("vmfsRaw", "RW 8 VMFSRAW \"/vmfs/devices/disks/x\"", "vmfsRaw: it stands for a device"),
      ("fullDevice", "RW 8 FLAT \"/dev/sda\" 0", "fullDevice: it stands for a device"),
      ("fullDevice", "RW 8 FLAT \"a\" 0", "fullDevice: it stands for a device"),
      ("partitionedDevice", "RW 8 FLAT \"/dev/sda\" 63 1-2 dev", "partitionedDevice: it stands for a device"),
      (
        "partitionedDevice", "RW 1 FLAT \"a\" 0\nRW 8 FLAT \"\\\\.\\PhysicalDrive0\" 63",
        "line 9: partitionedDevice: it stands for a device"
      ),
    ])
  func unsupported(_ createType: String, _ extents: String, _ text: String) throws {
    let found = try code(descriptorText(createType: createType, extents: extents), expecting: text)
    #expect(found == .unsupportedCreateType)
  }

  @Test("every kind is either read or refused with a sentence that says what to do")
  func everyKind() {
    var refused: [VMDKCreateType] = []
    for type in VMDKCreateType.allCases {
      switch type.reading {
      case .files: continue
      case .devices(let sentence), .refused(let sentence):
        refused.append(type)
        #expect(sentence.contains(":") && sentence.utf8.count > 60, "\(type): \(sentence)")
      }
    }
    #expect(refused == [.vsanSparse, .vmfsRDM, .vmfsRDMP, .vmfsRaw, .fullDevice, .partitionedDevice])
  }

  @Test("a kind that is refused is refused by its text: no other file is looked for")
  func beforeOpening() throws {
    let cases = [
      ("vsanSparse", "", "VSANSPARSE \"gone\""), ("vmfsRDM", "", "VMFSRDM \"gone\""),
      ("vmfsRDMP", "", "VMFSRDM \"gone\""), ("fullDevice", "", "FLAT \"/dev/gone\" 0"),
      ("vmfs", "encryptionKeys=\"x\"", "VMFS \"gone\""),
    ]
    for (type, header, extent) in cases {
      // The parent is not there either.
      let text = replacing(
        "parentCID=ffffffff", with: "parentCID=1\nparentFileNameHint=\"gone.vmdk\"",
        in: descriptorText(createType: type, header: header, extents: "RW 8 " + extent))
      try folder.write("d.vmdk", text)
      let error = try refusal(of: "d.vmdk", in: folder)
      #expect(
        [.unsupportedCreateType, .encrypted].contains(error.code) && error.remedy == .stopVM, "\(error)")
    }
  }

  @Test("an encrypted disk is refused before anything else is said about it")
  func encrypted() throws {
    let text = descriptorText(
      createType: "vmfs", header: "encryptionKeys=\"vmware:key/list/(x)\"", extents: "RW 8 VMFS \"a\"")
    #expect(try code(text, expecting: "the disk is encrypted") == .encrypted)
    #expect(try refusal(of: "d.vmdk", in: folder).remedy == .stopVM)
  }

  @Test(
    "extents that contradict the createType are refused with their line",
    arguments: [
      (
        "monolithicFlat", "RW 8 VMFS \"a\"",
        "line 8: a VMFS extent in a monolithicFlat disk (FLAT is expected)"
      ),
      ("vmfs", "RW 8 FLAT \"a\" 0", "line 8: a FLAT extent in a vmfs disk (VMFS is expected)"),
      ("vmfs", "RW 4 VMFS \"a\"\nRW 4 VMFSSPARSE \"b\"", "line 9: a VMFSSPARSE extent in a vmfs disk"),
      (
        "twoGbMaxExtentFlat", "RW 4 FLAT \"a\" 0\nRW 4 ZERO",
        "line 9: a ZERO extent in a twoGbMaxExtentFlat disk"
      ),
      ("monolithicSparse", "RW 8 FLAT \"a\" 0", "line 8: a FLAT extent in a monolithicSparse disk"),
      ("monolithicSparse", "RW 4 SPARSE \"a\"\nRW 4 SPARSE \"b\"", "a monolithicSparse disk is one image"),
      ("streamOptimized", "RW 4 SPARSE \"a\"\nRW 4 SPARSE \"b\"", "a streamOptimized disk is one image"),
      (
        "vmfsSparse", "RW 8 FLAT \"a\" 0",
        "line 8: a FLAT extent in a vmfsSparse disk (VMFSSPARSE is expected)"
      ),
      ("seSparse", "RW 8 VMFSSPARSE \"a\"", "line 8: a VMFSSPARSE extent in a seSparse disk"),
      ("twoGbMaxExtentSparse", "RW 8 FLAT \"a\" 0", "line 8: a FLAT extent in a twoGbMaxExtentSparse disk"),
      ("custom", "RW 8 VMFSRDM \"a\"", "line 8: a VMFSRDM extent in a custom disk (FLAT, SPARSE, ZERO"),
    ])
  func contradictions(_ createType: String, _ extents: String, _ text: String) throws {
    let found = try code(descriptorText(createType: createType, extents: extents), expecting: text)
    #expect(found == .contradictoryExtents)
  }

  @Test("no extent, no access and a device behind a flat extent are refused")
  func extents() throws {
    #expect(try code(descriptorText(extents: ""), expecting: "there is no extent line") == .noExtents)
    #expect(
      try code(
        descriptorText(extents: "NOACCESS 8 FLAT \"a\" 0"), expecting: "line 8: the extent is NOACCESS")
        == .noAccess)
    #expect(
      try code(
        descriptorText(createType: "custom", extents: "RW 4 ZERO\nNOACCESS 4 SPARSE \"gone\""),
        expecting: "line 9: the extent is NOACCESS") == .noAccess)
    #expect(
      try code(descriptorText(extents: "RW 8 FLAT \"a\" 0 11-22 device"), expecting: "stands for a device")
        == .unsupportedCreateType)
  }

  @Test("delta images, foreign files and data files are refused by what they are")
  func otherImages() throws {
    func code(of bytes: [UInt8]) throws -> VMDKError.Code {
      try folder.write("x", bytes)
      return try refusal(of: "x", in: folder).code
    }
    let rest = [UInt8](repeating: 0, count: 2044)
    #expect(try code(of: Array("COWD".utf8) + rest) == .unsupportedFormat)
    #expect(try code(of: [0xBE, 0xBA, 0xFE, 0xCA, 0, 0, 0, 0] + rest) == .unsupportedFormat)
    #expect(try code(of: Array("QFI\u{FB}".utf8) + rest + [1]) == .notADescriptor)
    #expect(try code(of: []) == .notADescriptor)
    try folder.writeSparse("big", sizeBytes: (10 << 20) + 1, data: [1], at: 0)
    #expect(try refusal(of: "big", in: folder).code == .descriptorTooLarge)
  }

  @Test("only known, safe entries of the disk data base are kept")
  func facts() throws {
    let long = String(repeating: "1", count: 129)
    try folder.write("a", [UInt8](repeating: 1, count: 4096))
    try folder.write(
      "d.vmdk",
      descriptorText(
        extents: "RW 8 FLAT \"a\" 0",
        ddb: """
          DDB.AdapterType = "lsilogic"
          ddb.geometry.cylinders = "5"
          ddb.geometry.biosHeads = "255"
          ddb.uuid = "60 00 C2 99 d3 f5 dc ad-9e 25 3e 89 48 2c 3f de"
          ddb.uuid = "60 00 C2 99 00 00 00 00-00 00 00 00 00 00 00 00"
          ddb.longContentID = "0123456789abcdef01234567a1b2c3d4"
          ddb.thinProvisioned = "1"
          ddb.comment = "kept by nobody"
          ddb.toolsVersion = "\(long)"
          ddb.deletable = "tr\u{7}ue"
          ddb.encoding = "UTF-8"
          """))
    let disk = try VMDKImage.open("d.vmdk", in: folder.directory)
    let kept = [
      "adapterType", "geometry.cylinders", "geometry.biosHeads", "uuid", "longContentID", "thinProvisioned",
    ]
    #expect(disk.facts.entries.map(\.key) == kept)
    #expect(disk.diskUUID == DiskID("6000c299-d3f5-dcad-9e25-3e89482c3fde"))
    #expect(
      disk.warnings == [
        "ddb.uuid stands there twice: the first is kept",
        "ddb.toolsVersion has a value that cannot be kept: left out",
        "ddb.deletable has a value that cannot be kept: left out",
      ])
  }

  @Test(
    "a disk without a uuid, or with one that is none, has no identity",
    arguments: ["", "ddb.uuid = \"60 00\""])
  func noIdentity(_ ddb: String) throws {
    try folder.write("a", [UInt8](repeating: 1, count: 4096))
    try folder.write("d.vmdk", descriptorText(extents: "RW 8 FLAT \"a\" 0", ddb: ddb))
    #expect(try VMDKImage.open("d.vmdk", in: folder.directory).diskUUID == nil)
  }
}
