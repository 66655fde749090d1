import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

/// A loop device over a file of a folder, for as long as the object lives.
private final class LoopDevice {
  static let isPossible = getuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0
  static let reason: Comment = "making a loop device takes root and /dev/loop-control"

  let path: String
  private let folder: TestFolder

  init(_ name: String, in folder: TestFolder) throws {
    self.folder = folder
    let output = try QemuImg.run("losetup", ["--find", "--show", name], in: folder)
    try #require(output.status == 0, "\(output.text)")
    path = String(output.text.filter { $0 != "\n" })
  }

  deinit { _ = try? QemuImg.run("losetup", ["--detach", path], in: folder) }  // Nobody is left to tell.
}

@Suite("devices in place of extents", .enabled(if: LoopDevice.isPossible, LoopDevice.reason))
struct DeviceTests {
  private let folder: TestFolder
  private let data: [UInt8]

  init() throws {
    folder = try TestFolder()
    var random = SeededGenerator(seed: 77)
    data = random.bytes(1 << 20)
    try folder.write("lun", data)
  }

  private func open(_ device: String, named name: String = "db-rdm.vmdk") throws -> VMDKImage {
    try VMDKImage.open(
      "d.vmdk", in: folder.directory,
      DiskOpening(devices: [DeviceMapping(name: name, path: device)]))
  }

  @Test("a virtual-mode RDM is read from the device that stands for it, without its mapping file")
  func virtualRDM() throws {
    let loop = try LoopDevice("lun", in: folder)
    try folder.write(
      "d.vmdk", descriptorText(createType: "vmfsRDM", extents: "RW 2000 VMFSRDM \"db-rdm.vmdk\""))
    let disk = try open(loop.path)
    #expect(try contents(of: disk) == Array(data[..<(2000 * 512)]))
    #expect(disk.files.map(\.role) == [.descriptor, .device] && disk.files[1].place.path == loop.path)
    #expect(
      disk.warnings == ["\(loop.path): \((1 << 20) - 2000 * 512) bytes follow its extent and are not read"])
    #expect(try allocatedRanges(of: disk) == [ByteRange(offset: 0, length: 2000 * 512)])
    #expect(try disk.links[0].allocatedBytes() == 2000 * 512)
    let other = try #require(throws: VMDKError.self) { try open(loop.path, named: "DB-rdm.vmdk") }
    #expect(other.code == .unsupportedCreateType, "names are compared letter by letter")
  }

  @Test("parts of a device and a partition table in a file are one disk")
  func partitioned() throws {
    let loop = try LoopDevice("lun", in: folder)
    try folder.write("d-pt.vmdk", [UInt8](repeating: 3, count: 512))
    try folder.write(
      "d.vmdk",
      descriptorText(
        createType: "partitionedDevice",
        extents: """
          RW 1 FLAT "d-pt.vmdk" 0
          RW 4 FLAT "/dev/sda" 16 1-2 dev
          RW 3 ZERO
          """))
    let disk = try open(loop.path, named: "/dev/sda")
    #expect(
      try contents(of: disk) == [UInt8](repeating: 3, count: 512) + data[8192..<10_240]
        + [UInt8](repeating: 0, count: 1536))
  }

  @Test("a physical RDM is refused whatever is named for it, and so are no device and a small one")
  func refused() throws {
    let loop = try LoopDevice("lun", in: folder)
    func write(_ type: String, _ sectors: Int) throws {
      try folder.write(
        "d.vmdk", descriptorText(createType: type, extents: "RW \(sectors) VMFSRDM \"db-rdm.vmdk\""))
    }
    func code(_ device: String) throws -> VMDKError.Code {
      try #require(throws: VMDKError.self) { try open(device) }.code
    }
    try write("vmfsRDMP", 8)
    #expect(try code(loop.path) == .unsupportedCreateType)
    try write("vmfsRDM", 2049)
    #expect(try code(loop.path) == .fileTooShort)
    try write("vmfsRDM", 8)
    #expect(try code(folder.path + "/lun") == .notABlockDevice)
    #expect(try code("/dev/null") == .notABlockDevice)
    #expect(try code("/dev/no-such-device") == .missingFile)
  }
}
