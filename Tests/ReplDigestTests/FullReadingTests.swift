import Glibc
import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplDigest

/// A disk in memory that claims to be empty, and that may fail at one byte.
private final class LyingDisk: BlockReadable {
  let bytes: [UInt8]
  private let broken: Int?

  init(_ bytes: [UInt8], brokenAt broken: Int? = nil) {
    self.bytes = bytes
    self.broken = broken
  }

  var sizeBytes: Int64 { Int64(bytes.count) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    let range = Int(offset)..<(Int(offset) + buffer.count)
    if let broken, range.contains(broken) {
      throw IOError(.system(EIO), "read", path: "disk", offsetBytes: offset)
    }
    bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[range])) }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? { nil }
}

/// Zeros; writes down what is forgotten of them.
private final class ForgetfulDisk: BlockReadable {
  let sizeBytes: Int64
  private let asked = Mutex<[ByteRange]>([])

  init(sizeBytes: Int64) { self.sizeBytes = sizeBytes }

  var forgotten: [ByteRange] { asked.withLock { $0 } }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  func forgetCached(_ range: ByteRange) throws(IOError) { asked.withLock { $0.append(range) } }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? { nil }
}

@Suite("reading a disk in full") struct FullReadingTests {
  private let key = DigestKey(id: KeyID(high: 1, low: 2), bytes: [UInt8](repeating: 7, count: 32))!

  private func content(_ size: Int, everyPage: Int, _ random: inout SplitMix) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    for page in stride(from: 0, to: size, by: 4096 * everyPage) {
      for index in page..<min(page + 64, size) { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
    }
    return bytes
  }

  /// The model map of the same bytes.
  private func model(_ bytes: [UInt8], pageSizeBytes: Int) throws -> ModelMap {
    let grid = PageGrid(sizeBytes: Int64(bytes.count), pageSizeBytes: pageSizeBytes)!
    var map = ModelMap(DigestMapFormat(disk: DiskID(high: 1, low: 1), grid: grid, keyID: key.id))
    let digester = try PageDigester(key: key)
    try bytes.withUnsafeBytes { raw in
      try map.digests.withUnsafeMutableBufferPointer {
        try digester.digest(pages: raw, pageSizeBytes: pageSizeBytes, into: $0)
      }
    }
    return map
  }

  /// Sizes around leaves, levels and short last pages.
  static let shapes: [(size: Int, pageSize: Int)] = [
    (1, 4096), (4096, 4096), (5000, 4096), (1 << 20, 4096), ((1 << 20) + 512, 4096),
    ((3 << 20) + 4096 * 7 + 100, 4096), ((17 << 20) + 512, 65_536),
  ]

  @Test("all is forgotten before it is read, and every 64 MiB of what was read behind the reading")
  func forgetting() throws {
    let disk = ForgetfulDisk(sizeBytes: (150 << 20) + 512)
    let grid = try #require(PageGrid(sizeBytes: disk.sizeBytes, pageSizeBytes: 65_536))
    let reading = try FullReading(disk, grid: grid, key: key, placeLimit: 1)
    _ = try #require(try reading.run(comparing: nil) { _ in true })
    #expect(disk.forgotten.first == ByteRange(offset: 0, length: disk.sizeBytes))
    let behind = disk.forgotten.dropFirst()
    #expect(behind.map(\.offset) == [0, 64 << 20, 128 << 20] && behind.last?.end == disk.sizeBytes)
  }

  @Test("root and hash are those of the bytes, whatever the disk says of its holes", arguments: shapes)
  func result(size: Int, pageSize: Int) throws {
    let seed = UInt64(size)
    var random = SplitMix(seed: seed)
    let bytes = content(size, everyPage: size > 8 << 20 ? 51 : 3, &random)
    let model = try model(bytes, pageSizeBytes: pageSize)
    let reading = try FullReading(
      LyingDisk(bytes), grid: model.format.grid, key: key, placeLimit: 4)
    var read = 0
    let found = try #require(
      try reading.run(comparing: nil) {
        read += $0
        return true
      })
    #expect(found.root == model.root(), "seed \(seed)")
    #expect(found.sha256 == SHA256Hasher.hash(bytes), "seed \(seed)")
    #expect(found.failure == nil && found.differingPages == 0)
    #expect(read == size)
  }

  @Test(
    "the root that is made leaf by leaf is that of the whole map, at every edge of a level",
    arguments: [1, 2, 256, 257, 300])
  func streaming(leaves: Int) {
    let seed = UInt64(leaves)
    var random = SplitMix(seed: seed)
    let grid = PageGrid(sizeBytes: (Int64(leaves) << 20) - 5000, pageSizeBytes: 4096)!
    let format = DigestMapFormat(disk: DiskID(high: 1, low: 1), grid: grid, keyID: key.id)
    for density in [0, 10] {
      let model = ModelMap.random(format, density: density, &random)
      let streaming = StreamingRoot(grid: grid)
      for leaf in 0..<grid.leafCount {
        model.leaf(leaf).withUnsafeBytes { streaming.append(leaf: $0) }
      }
      #expect(streaming.finish() == model.root(), "density \(density), seed \(seed)")
    }
  }

  @Test("what cannot be read has a place and an errno, and neither root nor hash")
  func unreadable() throws {
    var random = SplitMix(seed: 3)
    let bytes = content(3 << 20, everyPage: 5, &random)
    let grid = PageGrid(sizeBytes: Int64(bytes.count), pageSizeBytes: 4096)!
    let broken = (1 << 20) + 4096 * 9 + 17
    let reading = try FullReading(LyingDisk(bytes, brokenAt: broken), grid: grid, key: key, placeLimit: 4)
    let found = try #require(try reading.run(comparing: nil) { _ in true })
    #expect(found.root == nil && found.sha256 == nil)
    #expect(found.failure?.systemCode == EIO)
    #expect(found.failure?.offsetBytes == Int64((1 << 20) + 4096 * 9))
  }

  @Test("a reading that is called off answers nothing")
  func calledOff() throws {
    let grid = PageGrid(sizeBytes: 3 << 20, pageSizeBytes: 4096)!
    let disk = LyingDisk([UInt8](repeating: 1, count: 3 << 20))
    var parts = 0
    let found = try FullReading(disk, grid: grid, key: key, placeLimit: 4).run(comparing: nil) { _ in
      parts += 1
      return parts < 2
    }
    #expect(found == nil)
    #expect(parts == 2)
  }

  @Test("a map names the pages that are not as it says; the result does not depend on it")
  func places() throws {
    var random = SplitMix(seed: 4)
    let bytes = content(3 << 20, everyPage: 1, &random)
    let model = try model(bytes, pageSizeBytes: 4096)
    var other = bytes
    for page in [5, 300, 301, 767] { other[page * 4096 + 4095] ^= 1 }
    let bench = ModelView(model)
    let grid = model.format.grid
    let found = try #require(
      try FullReading(LyingDisk(other), grid: grid, key: key, placeLimit: 3).run(comparing: bench) { _ in true
      }
    )
    #expect(found.differingPages == 4)
    let places: [Int64] = [5, 300, 301].map { $0 * 4096 }
    #expect(found.differingOffsets == places)
    #expect(found.root == (try self.model(other, pageSizeBytes: 4096)).root())
    bench.isBroken = true
    let blind = try #require(
      try FullReading(LyingDisk(other), grid: grid, key: key, placeLimit: 3).run(comparing: bench) { _ in true
      }
    )
    #expect(blind.differingPages == 0 && blind.root == found.root && blind.sha256 == found.sha256)
  }
}

/// A model as a view that may be unreadable.
private final class ModelView: DigestView, @unchecked Sendable {
  // SAFETY: used by one thread of one test.
  let model: ModelMap
  var isBroken = false

  init(_ model: ModelMap) { self.model = model }

  var format: DigestMapFormat { model.format }

  func readLeaf(
    _ leaf: Int64, into digests: UnsafeMutableBufferPointer<PageDigest>
  ) throws(DigestError) {
    if isBroken { throw DigestError(.damaged, "map", "broken") }
    _ = digests.update(from: model.leaf(leaf))
  }

  func nodes(level: Int, first: Int64, count: Int) throws(DigestError) -> [Hash256] { [] }

  func root() throws(DigestError) -> Root { model.root() }
}
