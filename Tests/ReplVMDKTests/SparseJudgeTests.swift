import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

/// `dissect.hypervisor`, which reads every kind of chain, but falls through unmapped grains of seSparse.
enum Dissect {
  /// A Python that has it; the variable is for a virtual environment.
  static let python = getenv("VMREPL_DISSECT_PYTHON").map { String(cString: $0) } ?? "/usr/bin/python3"
  static let reason: Comment =
    "no dissect.hypervisor (pip install dissect.hypervisor; VMREPL_DISSECT_PYTHON names its Python)"

  static let isHere: Bool = {
    guard let folder = try? TestFolder() else { return false }
    let output = try? QemuImg.run(python, ["-c", "import dissect.hypervisor.disk.vmdk"], in: folder)
    return output?.status == 0
  }()
  static let mayRun = isHere || getenv("CI") != nil

  /// The whole disk `name`.
  static func contents(of name: String, in folder: TestFolder) throws -> [UInt8] {
    let program = """
      from pathlib import Path
      from dissect.hypervisor.disk.vmdk import VMDK
      disk = VMDK(Path("\(name)"))
      Path("judged").write_bytes(disk.read_sectors(0, disk.size // 512))
      """
    let output = try QemuImg.run(python, ["-c", program], in: folder)
    try #require(output.status == 0, "\(output.text)")
    return try folder.read("judged")
  }
}

@Suite("judges of the sparse kinds") struct SparseJudgeTests {
  private let folder: TestFolder
  private var random = SeededGenerator(seed: 77)

  init() throws { folder = try TestFolder() }

  enum Case: String, CaseIterable {
    case zeroedGrain, cowd, seSparse, seSparseUnmapped, streamWithFooter, streamInFront
  }

  @Test(
    "images of every sparse kind are read as qemu-img reads them",
    .enabled(if: QemuImg.mayRun, QemuImg.reason),
    arguments: Case.allCases)
  func qemu(_ example: Case) throws {
    let expected = try write(example)
    let output = try QemuImg.run(
      try #require(QemuImg.path, QemuImg.reason), ["convert", "-f", "vmdk", "-O", "raw", "d.vmdk", "judged"],
      in: folder)
    try #require(output.status == 0, "\(output.text)")
    #expect(try folder.read("judged") == expected, "the judge")
    #expect(try contents(of: VMDKImage.open("d.vmdk", in: folder.directory)) == expected)
  }

  @Test(
    "images of every sparse kind are read as dissect.hypervisor reads them",
    .enabled(if: Dissect.mayRun, Dissect.reason),
    arguments: Case.allCases.filter { $0 != .seSparseUnmapped })
  func dissect(_ example: Case) throws {
    let expected = try write(example)
    #expect(try Dissect.contents(of: "d.vmdk", in: folder) == expected, "the judge")
    #expect(try contents(of: VMDKImage.open("d.vmdk", in: folder.directory)) == expected)
  }

  // MARK: Images

  private func write(_ example: Case) throws -> [UInt8] {
    var random = random
    switch example {
    case .zeroedGrain: return try writeZeroedGrain()
    case .cowd: return try writeCOWD(&random)
    case .seSparse: return try writeSESparse(&random, unmapped: false)
    case .seSparseUnmapped: return try writeSESparse(&random, unmapped: true)
    case .streamWithFooter: return try writeStream(&random, hasFooter: true)
    case .streamInFront: return try writeStream(&random, hasFooter: false)
    }
  }

  private func writeBase(sectors: Int) throws -> [UInt8] {
    let base = parentBytes(sectors * 512)
    try folder.write("base-flat.vmdk", base)
    try folder.write(
      "base.vmdk", text(parent: "ffffffff", "vmfs", "RW \(sectors) VMFS \"base-flat.vmdk\"", cid: "11112222"))
    return base
  }

  private func text(parent: String, _ type: String, _ extent: String, cid: String) -> String {
    """
    # Disk DescriptorFile
    version=1
    CID=\(cid)
    parentCID=\(parent)
    createType="\(type)"
    \(parent == "ffffffff" ? "" : "parentFileNameHint=\"base.vmdk\"")
    # Extent description
    \(extent)

    # The Disk Data Base
    #DDB

    """
  }

  /// A grain of its own, one of zeros, the rest the parent's.
  private func writeZeroedGrain() throws -> [UInt8] {
    let parent = try writeBase(sectors: 1157)
    var builder = SparseImageBuilder()
    (builder.version, builder.flags) = (2, 0b111)
    (builder.parentCID, builder.extraLines) = ("11112222", "parentFileNameHint=\"base.vmdk\"")
    builder.grains = [(4, [UInt8](repeating: 0xC3, count: 8192))]
    builder.entries = [(1, 1, true, true)]
    try folder.write("d.vmdk", builder.build())
    var expected = parent
    expected.replaceSubrange(8192..<16_384, with: [UInt8](repeating: 0, count: 8192))
    expected.replaceSubrange((4 * 8192)..<(5 * 8192), with: builder.grains[0].data)
    return expected
  }

  private func writeCOWD(_ random: inout SeededGenerator) throws -> [UInt8] {
    var builder = COWDBuilder()
    let parent = try writeBase(sectors: Int(builder.capacity))
    builder.grains = [4100, 0, 7, 8, 4223, 4095].map { ($0, random.bytes(512)) }
    builder.grains[2].data = [UInt8](repeating: 0, count: 512)
    try folder.write("d-delta.vmdk", builder.build())
    let line = "RW \(builder.capacity) VMFSSPARSE \"d-delta.vmdk\""
    try folder.write("d.vmdk", text(parent: "11112222", "vmfsSparse", line, cid: "33334444"))
    return builder.content(over: parent)
  }

  private func writeSESparse(_ random: inout SeededGenerator, unmapped: Bool) throws -> [UInt8] {
    var builder = SESparseBuilder()
    let parent = try writeBase(sectors: Int(builder.capacity))
    builder.grains = [4300, 0, 4351, 17, 4096].map { ($0, .data(random.bytes(4096))) }
    builder.grains += [(18, .zero), (4097, unmapped ? .unmapped : .zero)]
    try folder.write("d-sesparse.vmdk", builder.build())
    let line = "RW \(builder.capacity) SESPARSE \"d-sesparse.vmdk\""
    try folder.write("d.vmdk", text(parent: "11112222", "seSparse", line, cid: "33334444"))
    return builder.content(over: parent)
  }

  private func writeStream(_ random: inout SeededGenerator, hasFooter: Bool) throws -> [UInt8] {
    var builder = StreamOptimizedBuilder()
    builder.hasFooter = hasFooter
    // QEMU takes markers of other kinds for grains only where a table leads there.
    builder.grains = [77, 3, 599, 4].map {
      .init(index: $0, data: random.bytes(8192), isStored: $0 % 2 == 0)
    }
    builder.grains.append(.init(index: 600, data: random.bytes(5 * 512)))
    try folder.write("d.vmdk", try builder.build())
    return builder.content()
  }
}
