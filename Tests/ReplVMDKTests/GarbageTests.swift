import ReplIO
import Testing

@testable import ReplVMDK

/// Input that nobody wrote on purpose: it is read or refused, never trapped on, and within bounded time.
@Suite("garbage") struct GarbageTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func damage(_ bytes: [UInt8], _ random: inout SeededGenerator, within limit: Int) -> [UInt8] {
    var result = bytes
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      guard !result.isEmpty else { break }
      let place = Int.random(in: 0..<min(limit, result.count), using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: result[place] = .random(in: 0...255, using: &random)
      case 1: result[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
      case 2: result.remove(at: place)
      case 3: result.insert(Array("\"=# \n\r\0R9-.".utf8).randomElement(using: &random)!, at: place)
      case 4: for index in place..<min(place + 8, result.count) { result[index] = 0xFF }
      default: result.removeSubrange(place..<min(result.count, place + .random(in: 1...40, using: &random)))
      }
    }
    return result
  }

  /// True when the disk was read in full.
  private func tryReading() -> Bool {
    do {
      let disk = try VMDKImage.open("d.vmdk", in: folder.directory)
      // A damaged size may be huge: read its ends, ask for all ranges.
      let ends = [0, max(0, disk.sizeBytes - 70_000)]
      for offset in ends {
        var buffer = [UInt8](repeating: 0, count: Int(min(70_000, disk.sizeBytes - offset)))
        try buffer.withUnsafeMutableBytes { try disk.read(into: $0, at: offset) }
      }
      var position: Int64 = 0
      while let range = try disk.allocatedRange(atOrAfter: position) { position = range.end }
      return true
    } catch let error as VMDKError {
      #expect(!error.description.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "\(error)")
      return false
    } catch {
      #expect(error is IOError)
      return false
    }
  }

  @Test("a damaged descriptor is read or refused", arguments: 1...6)
  func descriptors(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    try folder.write("a", [UInt8](repeating: 1, count: 8192))
    let good = Array(
      descriptorText(extents: "RW 8 FLAT \"a\" 0\nRW 8 FLAT \"a\" 8", ddb: "ddb.uuid = \"60 00\"").utf8)
    var outcomes: Set<Bool> = []
    for _ in 0..<500 {
      try folder.write("d.vmdk", damage(good, &random, within: good.count))
      outcomes.insert(tryReading())
    }
    #expect(
      outcomes == [true, false], "seed \(seed): the damage was too little or too much to mean anything")
  }

  @Test("a damaged sparse image is read or refused", arguments: 1...6)
  func images(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed &+ 100)
    var builder = SparseImageBuilder()
    builder.flags = seed % 2 == 0 ? 0b11 : 0b101
    builder.grains = [(0, random.bytes(8192)), (5, random.bytes(8192)), (2, random.bytes(8192))]
    let good = builder.build()
    var outcomes: Set<Bool> = []
    for round in 0..<300 {
      // Header, descriptor and tables in turn, so that each gets its share.
      let bad: [UInt8]
      switch round % 3 {
      case 0: bad = damage(good, &random, within: 80)
      case 1: bad = damage(good, &random, within: builder.metadataEnd * 512)
      default:
        let tables = builder.rgd * 512
        bad = Array(good[..<tables]) + damage(Array(good[tables...]), &random, within: 8192)
      }
      try folder.write("d.vmdk", bad)
      outcomes.insert(tryReading())
    }
    #expect(
      outcomes == [true, false], "seed \(seed): the damage was too little or too much to mean anything")
  }

  @Test("a damaged chain with names of other systems is read or refused", arguments: 1...4)
  func chains(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed &+ 300)
    try folder.write("a", [UInt8](repeating: 1, count: 8192))
    try folder.write(
      "base.vmdk", descriptorText(createType: "vmfs", header: "encoding=\"GBK\"", extents: "RW 16 VMFS \"a\"")
    )
    let good = Array(
      replacing(
        "parentCID=ffffffff",
        with: "parentCID=a1b2c3d4\nparentFileNameHint=\"C:\\VMs\\..\\base.vmdk\"\nencoding=\"Shift_JIS\"",
        in: descriptorText(createType: "custom", extents: "RW 8 ZERO\nRW 8 FLAT \"delta\" 0")
      ).utf8)
    try folder.write("delta", [UInt8](repeating: 2, count: 4096))
    try folder.write("d.vmdk", good)
    #expect(tryReading())
    var outcomes: Set<Bool> = []
    for _ in 0..<400 {
      try folder.write("d.vmdk", damage(good, &random, within: good.count))
      outcomes.insert(tryReading())
    }
    #expect(
      outcomes == [true, false], "seed \(seed): the damage was too little or too much to mean anything")
  }

  @Test("random bytes are refused", arguments: 1...4)
  func noise(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed &+ 200)
    for round in 0..<200 {
      var bytes = (0..<Int.random(in: 0...2000, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      if round % 2 == 0 { bytes = Array("KDMV".utf8) + bytes }
      try folder.write("d.vmdk", bytes)
      #expect(!tryReading(), "seed \(seed)")
    }
  }
}
