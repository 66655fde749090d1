import Glibc
import ReplIO
import Testing

@testable import ReplVMDK

/// The inputs that `scripts/fuzz` starts from: one of every kind, small, made by the builders of these tests.
///
/// When a builder changes, `VMREPL_WRITE_FUZZ_SEEDS=1 swift test --filter FuzzSeedTests` writes them anew.
@Suite("fuzz seeds") struct FuzzSeedTests {
  private static let folder =
    String(#filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" })
    + "/Fuzz/seeds"

  /// The first byte says what the rest is: 0 a descriptor, 1 KDMV, 2 COWD, 3 seSparse; from 0x80 on the
  /// number of an image to change, then two changes.
  private static func seeds() throws -> [(name: String, bytes: [UInt8])] {
    [
      (
        "descriptor-flat",
        [0] + Array(descriptorText(extents: "RW 8 FLAT \"a b\" 0", ddb: "ddb.uuid = \"60 00\"").utf8)
      ),
      (
        "descriptor-delta",
        [0]
          + Array(
            """
            # Disk DescriptorFile\r\nversion=3\r\nencoding="windows-1252"\r\nCID=1\r\nparentCID=ffff0000\r
            createType="custom"\r\nparentFileNameHint="/vmfs/volumes/5f3c/a.vmdk"\r\nchangeTrackPath="c"\r
            RW 16 SESPARSE "x"\r\nRDONLY 8 ZERO\r\nNOACCESS 1 VMFSRDM "r"\r\n# Change Tracking File\r\n
            """.utf8)
      ),
      ("kdmv", [1] + sparse(0b01, []).build()),
      ("kdmv-two-copies", [1] + sparse(0b11, []).build()),
      ("kdmv-zeroed", [1] + sparse(0b101, [(3, 1, true, true)]).build()),
      ("stream-footer", [1] + (try stream(hasFooter: true).build())),
      ("stream-front", [1] + (try stream(hasFooter: false).build())),
      ("cowd", [2] + cowd.build()),
      ("sesparse", [3] + seSparse.build()),
    ] + patched
  }

  /// In the order of `PatchedSeed.names`.
  private static let patched = [
    "kdmv", "kdmv-two-copies", "kdmv-zeroed", "stream-footer", "stream-front", "cowd", "sesparse",
  ].enumerated().map { index, name in
    (name: "patched-\(name)", bytes: [0x80 | UInt8(index)] + (1...20).map { UInt8($0 * 7) })
  }

  private static func sparse(
    _ flags: UInt32, _ entries: [(grain: Int, value: UInt32, primary: Bool, redundant: Bool)]
  ) -> SparseImageBuilder {
    var builder = SparseImageBuilder()
    (builder.flags, builder.grainSectors, builder.entriesPerTable, builder.capacity) = (flags, 4, 128, 600)
    (builder.descriptorSectors, builder.entries) = (2, entries)
    builder.grains = [(0, [UInt8](repeating: 1, count: 2048)), (140, [UInt8](repeating: 2, count: 2048))]
    return builder
  }

  private static func stream(hasFooter: Bool) -> StreamOptimizedBuilder {
    var builder = StreamOptimizedBuilder()
    (builder.capacity, builder.grainSectors, builder.headSectors) = (45, 4, 48)
    builder.hasFooter = hasFooter
    builder.grains = [
      .init(index: 11, data: [UInt8](repeating: 1, count: 512), isStored: true),
      .init(index: 2, data: [UInt8](repeating: 2, count: 2048), isStored: true),
    ]
    return builder
  }

  private static var cowd: COWDBuilder {
    var builder = COWDBuilder()
    builder.grains = [(0, [UInt8](repeating: 1, count: 512)), (77, [UInt8](repeating: 2, count: 512))]
    return builder
  }

  private static var seSparse: SESparseBuilder {
    var builder = SESparseBuilder()
    builder.capacity = 30_000
    builder.grains = [
      (5, .zero), (6, .unmapped), (7, .data([UInt8](repeating: 1, count: 4096))),
      (900, .data([UInt8](repeating: 2, count: 4096))),
    ]
    return builder
  }

  @Test("the seeds are good images, and what the builders make")
  func upToDate() throws {
    let seeds = try Self.seeds()
    if getenv("VMREPL_WRITE_FUZZ_SEEDS") != nil {
      for seed in seeds { try write(seed.bytes, Self.folder + "/" + seed.name) }
    }
    let directory = try PosixDirectory(path: Self.folder)
    for seed in seeds {
      #expect(try directory.readFile(seed.name, limitBytes: 1 << 20) == seed.bytes, "\(seed.name)")
      guard (1...3).contains(seed.bytes[0]) else { continue }
      let kind: VMDKExtentLine.Kind = [.sparse, .sparse, .vmfsSparse, .seSparse][Int(seed.bytes[0])]
      let file = MemoryFile(Array(seed.bytes.dropFirst()))
      let sectors: Int64 =
        switch seed.name {
        case "cowd": 4224
        case "sesparse": 30_000
        case "stream-footer", "stream-front": 45
        default: 600
        }
      let extent = try file.open(kind, sectors: sectors).extent
      #expect(try contents(of: extent).contains(2), "\(seed.name)")
    }
  }

  private func write(_ bytes: [UInt8], _ path: String) throws {
    let file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    try #require(file >= 0)
    defer { close(file) }
    try #require(bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == bytes.count)
  }
}
