import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("qemu-img as the judge", .enabled(if: QemuImg.mayRun, QemuImg.reason)) struct QemuJudgeTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func qemu(_ arguments: String...) throws -> String {
    let output = try QemuImg.run(arguments, in: folder)
    try #require(output.status == 0, "qemu-img \(arguments): \(output.text)")
    return output.text
  }

  private func makeRaw(_ name: String, sectors: Int, seed: UInt64) throws -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    var data = [UInt8](repeating: 0, count: sectors * 512)
    for start in stride(from: 0, to: data.count, by: 65_536) where Bool.random(using: &random) {
      let end = min(data.count, start + .random(in: 1...65_536, using: &random))
      for index in start..<end { data[index] = .random(in: 0...255, using: &random) }
    }
    try folder.write(name, data)
    return data
  }

  @Test(
    "disks that qemu-img writes are read byte for byte",
    arguments: [
      ("monolithicFlat", 1403), ("monolithicSparse", 1403), ("monolithicSparse", 70_001),
      ("twoGbMaxExtentFlat", 1403), ("twoGbMaxExtentSparse", 70_001), ("streamOptimized", 70_001),
    ])
  func reading(_ subformat: String, _ sectors: Int) throws {
    let raw = try makeRaw("raw", sectors: sectors, seed: UInt64(sectors))
    _ = try qemu("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=\(subformat)", "raw", "d.vmdk")
    let disk = try VMDKImage.open("d.vmdk", in: folder.directory)
    #expect(disk.createType.rawValue == subformat)
    #expect(try contents(of: disk) == raw)
    var covered = [UInt8](repeating: 0, count: raw.count)
    for range in try allocatedRanges(of: disk) {
      covered.replaceSubrange(Int(range.offset)..<Int(range.end), with: try bytes(of: disk, range))
    }
    #expect(covered == raw, "bytes outside the allocated ranges are not all zero")
  }

  @Test("zeroed grains that qemu-io writes are zeros")
  func zeroedGrains() throws {
    _ = try qemu("create", "-f", "vmdk", "-o", "subformat=monolithicSparse,zeroed_grain=on", "d.vmdk", "1M")
    let disk = try VMDKImage.open("d.vmdk", in: folder.directory)
    #expect(try contents(of: disk).allSatisfy { $0 == 0 } && disk.sizeBytes == 1 << 20)
  }

  @Test(
    "chains that qemu-img and qemu-io write are read byte for byte, over sparse and over flat bases",
    arguments: ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse"])
  func chains(_ base: String) throws {
    let raw = try makeRaw("raw", sectors: 8193, seed: 31)
    _ = try qemu("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=\(base)", "raw", "base.vmdk")
    var top = "base.vmdk"
    for (number, writes) in [
      ["write -P 17 65536 65536", "write -P 18 1000000 3000"], ["write -P 33 100000 5000"], [],
      ["write -P 34 4190208 4608"],
    ].enumerated() {
      let child = "c-\(number).vmdk"
      _ = try qemu("create", "-f", "vmdk", "-b", top, "-F", "vmdk", child)
      for command in writes {
        let output = try QemuImg.run(
          "/usr/bin/qemu-io", ["-f", "vmdk", "-c", command, child], in: folder)
        try #require(output.status == 0, "\(output.text)")
      }
      top = child
    }
    _ = try qemu("convert", "-f", "vmdk", "-O", "raw", top, "judged")
    let disk = try VMDKImage.open(top, in: folder.directory)
    #expect(disk.links.count == 5 && disk.links.last?.createType.rawValue == base)
    let judged = try folder.read("judged")
    let content = try contents(of: disk)
    #expect(content == judged && content != raw)
    var covered = [UInt8](repeating: 0, count: raw.count)
    for range in try allocatedRanges(of: disk) {
      covered.replaceSubrange(Int(range.offset)..<Int(range.end), with: try bytes(of: disk, range))
    }
    #expect(covered == content, "bytes outside the allocated ranges are not all zero")
    // Writing to a parent breaks the chain, which qemu-img does not notice.
    _ = try QemuImg.run("/usr/bin/qemu-io", ["-f", "vmdk", "-c", "write -P 1 0 512", "c-1.vmdk"], in: folder)
    #expect(try refusal(of: top, in: folder).code == .parentContentMismatch)
  }

  @Test("a standby's descriptor and flat file are one disk for qemu-img, equal to the source")
  func writing() throws {
    let raw = try makeRaw("raw", sectors: 4099, seed: 9)
    try folder.write("scsi0-0-flat.vmdk", raw)
    _ = try qemu(
      "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse", "raw", "source.vmdk")
    let source = try VMDKImage.open("source.vmdk", in: folder.directory)
    let descriptor = StandbyDescriptor(
      sizeBytes: source.sizeBytes, facts: source.facts, extentFileName: "scsi0-0-flat.vmdk",
      contentID: 0x0044_67CF)
    try folder.write("scsi0-0.vmdk", try descriptor.text())
    let info = try qemu("info", "scsi0-0.vmdk")
    #expect(info.contains("file format: vmdk") && info.contains("(\(4099 * 512) bytes)"), "\(info)")
    #expect(info.contains("cid: \(0x0044_67CF)") && info.contains("parent cid: 4294967295"), "\(info)")
    #expect(info.contains("create type: monolithicFlat"), "\(info)")
    #expect(try qemu("compare", "source.vmdk", "scsi0-0.vmdk").contains("Images are identical."))
    let standby = try VMDKImage.open("scsi0-0.vmdk", in: folder.directory)
    #expect(try contents(of: standby) == raw)
  }
}
