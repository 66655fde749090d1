import FoundationEssentials
import ReplDigest
import ReplIO
import ReplModel
import ReplVMDK
import Testing

@testable import ReplSource

private func inspect(
  _ path: String, _ opening: DiskOpening = DiskOpening(), excluding: Set<DiskSelector> = [],
  hashes: Bool = false
) throws -> Inspection {
  try Inspection.read(
    InspectionRequest(path: path, opening: opening, excludedDisks: excluding, hashesContent: hashes))
}

/// A disk in two files of 1 MiB that both hold sevens, with a hole of 1 MiB between.
private let holedDisk = """
  # Disk DescriptorFile
  version=1
  CID=44067cf
  parentCID=ffffffff
  createType="custom"
  RW 2048 FLAT "web-flat.vmdk" 0
  RW 2048 ZERO
  RW 2048 FLAT "db-flat.vmdk" 0
  ddb.uuid = "60 00 C2 94 f5 6c 8a 1d-0a 5d 3c 12 5b 10 3a 7e"

  """

@Suite("inspection") struct InspectionTests {
  @Test("a VM says who it is, what its disks are made of, and that it can be protected")
  func plainVM() throws {
    let folder = try PrimaryFolder(disks: ["web", "db"], extra: "nvram = \"web.nvram\"\n")
    try folder.write("web.nvram", [1])
    let found = try inspect(folder.vmxPath)
    #expect(found.kind == .vm && found.protectable && found.problems.isEmpty && found.warnings.isEmpty)
    let vm = try #require(found.vm)
    #expect(vm.id == VMID(PrimaryFolder.uuid) && vm.displayName == "web" && vm.encoding == "UTF-8")
    #expect(vm.nvram == "web.nvram" && vm.snapshots == 0 && vm.running == nil)
    #expect(found.disks.map { $0.slot?.description } == ["scsi0:0", "scsi0:1"])
    let disk = try #require(found.disks.first)
    #expect(disk.state == .protectable && disk.problem == nil && disk.sha256 == nil)
    #expect(disk.sizeBytes == 1 << 20 && disk.allocatedBytes == 1 << 20 && disk.diskUUID == nil)
    #expect(disk.createType == "monolithicFlat" && !disk.markedInUse)
    #expect(try #require(disk.storedBytes) >= 1 << 20)
    let link = try #require(disk.links.first)
    #expect(disk.links.count == 1 && link.path == "web.vmdk" && link.contentID == "fffffffe")
    #expect(link.parentContentID == nil && link.files.map(\.role) == ["descriptor", "flat"])
    #expect(link.files.map(\.path) == ["web.vmdk", "web-flat.vmdk"])
  }

  @Test("one disk that cannot be protected is said of that disk, and the others are shown all the same")
  func oneBadDisk() throws {
    let folder = try PrimaryFolder(
      disks: ["web", "db", "log"],
      extra: "scsi0:1.sharing = \"multi-writer\"\n")
    try folder.remove("log-flat.vmdk")
    let found = try inspect(folder.vmxPath)
    #expect(!found.protectable && found.problems.isEmpty)
    #expect(found.disks.map(\.state) == [.protectable, .refused, .refused])
    #expect(found.disks[1].problem?.contains("multi-writer") == true && found.disks[1].links.count == 1)
    #expect(found.disks[2].problem?.contains("log-flat.vmdk") == true && found.disks[2].sizeBytes == nil)
  }

  @Test("a disk that is excluded, by slot or by UUID, is not judged and does not make the VM unprotectable")
  func excluded() throws {
    let folder = try PrimaryFolder(
      disks: ["web", "db", "log"],
      extra: "scsi0:1.sharing = \"multi-writer\"\nscsi0:2.mode = \"independent-nonpersistent\"\n")
    let uuid = "60 00 C2 94 f5 6c 8a 1d-0a 5d 3c 12 5b 10 3a 7e"
    let descriptor = PrimaryFolder.descriptor(flat: "log-flat.vmdk") + "ddb.uuid = \"\(uuid)\"\n"
    try folder.write("log.vmdk", Array(descriptor.utf8))
    let selectors = [try #require(DiskSelector("scsi0:1")), try #require(DiskSelector(uuid))]
    let found = try inspect(folder.vmxPath, excluding: Set(selectors))
    #expect(found.disks.map(\.state) == [.protectable, .excluded, .excluded])
    #expect(found.protectable && found.disks.allSatisfy { $0.problem == nil })
    let none = try inspect(
      folder.vmxPath, excluding: Set(["scsi0:0", "scsi0:1", uuid].compactMap(DiskSelector.init)))
    #expect(!none.protectable && none.problems.contains { $0.contains("every disk is excluded") })
  }

  @Test(
    "what is wrong with the whole VM is said with what to do",
    arguments: [
      ("checkpoint.vmState = \"x.vmss\"\n", "the VM is suspended"),
      ("encryption.data = \"x\"\n", "decrypt it"),
      ("scsi0:99.present = \"TRUE\"\n", "scsi0:99 is no slot"),
      ("nvram = \"/etc/hostname\"\n", "the NVRAM cannot be read: "),
      ("uuid.bios = \"\"\n", "the VM has no identity"), ("uuid.bios = \"none\"\n", "uuid.bios"),
      ("scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"web.vmdk\"\n", "the same file"),
    ])
  func problems(_ line: String, _ text: String) throws {
    let folder = try PrimaryFolder(extra: line)
    let found = try inspect(folder.vmxPath)
    #expect(!found.protectable && found.problems.contains { $0.contains(text) }, "\(found.problems)")
    #expect(found.disks.first?.state == .protectable)
  }

  @Test("a VMX without disks, or that is none at all, is no VM to protect")
  func nothing() throws {
    let folder = try PrimaryFolder(disks: [])
    #expect(try inspect(folder.vmxPath).problems.contains { $0.contains("no hard disk") })
    try folder.write("web.vmx", [UInt8](repeating: 0x0A, count: 100_000))
    let many = try inspect(folder.vmxPath)
    try folder.write("web.vmx", [UInt8](repeating: 0x0A, count: 2 << 20))
    #expect(try inspect(folder.vmxPath).problems.first?.contains("no VMX") == true)
    #expect(!many.protectable && many.disks.isEmpty && many.problems.contains { $0.contains("lines") })
  }

  @Test("what is odd is a warning: names that stand twice, a running VM, snapshots, a virtual TPM")
  func warnings() throws {
    let folder = try PrimaryFolder(
      extra: "displayName = \"web2\"\nnvram = \"gone.nvram\"\nvtpm.present = \"TRUE\"\n")
    try folder.write("web.vmx.lck", [])
    try folder.write(
      "web.vmsd",
      Array("snapshot0.uid = \"1\"\nsnapshot1.uid = \"2\"\nsnapshot.needConsolidate = \"TRUE\"\n".utf8))
    let found = try inspect(folder.vmxPath)
    #expect(found.protectable && found.vm?.snapshots == 2 && found.vm?.running == "web.vmx.lck")
    for text in [
      "displayName stands there more than once", "is running", "gone.nvram", "virtual TPM", "consolidation",
    ] {
      #expect(found.warnings.contains { $0.contains(text) }, "\(text): \(found.warnings)")
    }
  }

  @Test("a disk alone is hashed whole, and its holes are never read")
  func hash() throws {
    let folder = try PrimaryFolder(disks: ["web", "db"])
    try folder.write("holed.vmdk", Array(holedDisk.utf8))
    var steps: [InspectionRequest.Progress] = []
    let request = InspectionRequest(path: "\(folder.path)/holed.vmdk", hashesContent: true)
    let found = try Inspection.read(request) { steps.append($0) }
    let disk = try #require(found.disks.first)
    #expect(found.kind == .disk && found.vm == nil && disk.slot == nil && found.disks.count == 1)
    #expect(disk.sizeBytes == 3 << 20 && disk.allocatedBytes == 2 << 20)
    #expect(
      disk.diskUUID == DiskID("6000C294f56c8a1d0a5d3c125b103a7e") && disk.links[0].contentID == "044067cf")
    let sevens = [UInt8](repeating: 7, count: 1 << 20)
    let content = sevens + [UInt8](repeating: 0, count: 1 << 20) + sevens
    #expect(disk.sha256 == "\(SHA256Hasher.hash(content))")
    #expect(steps.filter { $0.step == .tables }.map(\.doneBytes) == [1 << 20, 3 << 20])
    steps.removeAll { $0.step == .tables }
    #expect(
      steps.map(\.doneBytes) == [1 << 20, 2 << 20, 3 << 20] && steps.allSatisfy { $0.totalBytes == 3 << 20 })
  }

  @Test("hashing reads what is allocated and nothing else, whatever the ranges are")
  func holes() throws {
    let disk = HoledDisk(
      sizeBytes: 5 << 20 + 512,
      ranges: [ByteRange(offset: 512, length: 100), ByteRange(offset: 3 << 20, length: 2 << 20)])
    let hash = try InspectionHash(disk: disk) { _ in }.sha256()
    var content = [UInt8](repeating: 0, count: Int(disk.sizeBytes))
    for index in content.indices where disk.holds(Int64(index)) { content[index] = 9 }
    #expect(hash == SHA256Hasher.hash(content) && disk.readBytes == 100 + 2 << 20)
  }

  @Test("tables are judged without a hash: damage refuses a disk, and is a warning where a delta hides it")
  func damagedTables() throws {
    func field(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }
    var image = Array("KDMV".utf8) + field(1, 4) + field(1, 4)  // version, flags
    image += field(128, 8) + field(128, 8)  // capacity and grain, sectors
    image += field(0, 16) + field(512, 4) + field(0, 8)  // no descriptor, entries, no redundant directory
    image += field(1, 8) + field(6, 8) + [0, 0x0A, 0x20, 0x0D, 0x0A, 0, 0]  // directory, metadata
    image += [UInt8](repeating: 0, count: 512 - image.count) + field(2, 512) + field(9999, 2048)
    func descriptor(_ parent: String, _ extent: String) -> [UInt8] {
      let head = "# Disk DescriptorFile\nversion=1\nCID=1\n\(parent)\ncreateType=\"custom\"\n"
      return Array("\(head)\(extent)\n".utf8)
    }
    let folder = try PrimaryFolder()
    try folder.write("base-s.vmdk", image)
    try folder.write("base.vmdk", descriptor("parentCID=ffffffff", "RW 128 SPARSE \"base-s.vmdk\""))
    let base = try inspect("\(folder.path)/base.vmdk")
    #expect(!base.protectable)
    #expect(try #require(base.disks.first?.problem).contains("grain 0 lies outside the extent"))
    let child = "parentCID=1\nparentFileNameHint=\"base.vmdk\""
    try folder.write("c.vmdk", descriptor(child, "RW 128 FLAT \"web-flat.vmdk\" 0"))
    let found = try inspect("\(folder.path)/c.vmdk")
    let disk = try #require(found.disks.first)
    #expect(found.protectable && disk.links.map(\.allocatedBytes) == [1 << 16, nil])
    #expect(disk.warnings.contains { $0.contains("grain 0 lies outside") && $0.contains("no pass needs it") })
  }

  @Test("a disk elsewhere is found through a mapping only")
  func mapping() throws {
    let folder = try PrimaryFolder(extra: "scsi0:0.fileName = \"/vmfs/volumes/ds1/db/db.vmdk\"\n")
    let other = try PrimaryFolder(disks: ["db"])
    #expect(try inspect(folder.vmxPath).disks.map(\.state) == [.refused])
    let opening = DiskOpening(mappings: [PathMapping(prefix: "/vmfs/volumes/ds1/db", directory: other.path)])
    let found = try inspect(folder.vmxPath, opening)
    #expect(found.protectable && found.disks.first?.sizeBytes == 1 << 20, "\(found)")
  }

  @Test("a file that is not there is an error, a damaged one an answer")
  func files() throws {
    let folder = try PrimaryFolder()
    #expect(try #require(throws: IOError.self) { try inspect("\(folder.path)/x.vmdk") }.isMissing)
    #expect(try #require(throws: IOError.self) { try inspect("\(folder.path)/x.vmx") }.isMissing)
    #expect(try #require(throws: IOError.self) { try inspect("/nowhere/x.vmx") }.isMissing)
    let flat = try inspect("\(folder.path)/web-flat.vmdk")
    #expect(!flat.protectable && flat.disks.first?.problem != nil && flat.disks.first?.links.isEmpty == true)
    // A VMX is known by its lines where its name says nothing.
    try folder.write("backup.txt", Array("config.version = \"8\"\n".utf8))
    #expect(try inspect("\(folder.path)/backup.txt").kind == .vm)
  }

  @Test("the JSON has the same keys whatever is inspected, and leaves out what is not known")
  func json() throws {
    let folder = try PrimaryFolder()
    let bytes = try inspect(folder.vmxPath, hashes: true).json()
    let text = String(decoding: bytes, as: UTF8.self)
    for key in [
      "\"kind\" : \"vm\"", "\"protectable\" : true", "\"display_name\" : \"web\"", "\"slot\" : \"scsi0:0\"",
      "\"content_id\" : \"fffffffe\"", "\"allocated_bytes\" : 1048576", "\"size_bytes\" : 1048576",
      "\"create_type\" : \"monolithicFlat\"", "\"marked_in_use\" : false", "\"role\" : \"flat\"",
      "\"sha256\" : \"",
      "\"state\" : \"protectable\"", "\"problems\" : [", "\"stored_bytes\"", "\"id\" : \"564def2d",
    ] { #expect(text.contains(key), "\(key) in \(text)") }
    #expect(text.hasSuffix("}\n") && !text.contains("inodes") && !text.contains("null"))
  }
}
