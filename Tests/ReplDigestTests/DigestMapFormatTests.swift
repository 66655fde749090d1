import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplDigest

/// The format page, read from the sources.
enum FormatPage {
  static func text() throws -> String {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let folder = try PosixDirectory(path: "/\(root)/Sources/ReplDigest/ReplDigest.docc")
    return String(decoding: try folder.readFile("DigestMapFormat.md", limitBytes: 1 << 20), as: UTF8.self)
  }

  /// The bytes of the hex example: an offset, then 16 bytes a line.
  static func example() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    let block = try text().split(separator: "```hex")[1].split(separator: "```")[0]
    for line in block.split(separator: "\n") {
      let parts = line.split(separator: " ")
      let offset = Int(parts[0], radix: 16)!
      let values = HexText.decode(parts.dropFirst().joined())!
      bytes.replaceSubrange(offset..<(offset + values.count), with: values)
    }
    return bytes
  }
}

@Suite struct DigestMapFormatTests {
  private let header = DigestMapHeader(
    format: DigestMapFormat(
      disk: DiskID("00112233-4455-6677-8899-aabbccddeeff")!,
      grid: PageGrid(sizeBytes: 1 << 30, pageSizeBytes: 4096)!,
      keyID: KeyID("ffeeddcc-bbaa-9988-7766-554433221100")!),
    sequence: 5, state: .at, reference: PointReference(epoch: Epoch(2), number: 7),
    pass: PassID("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")!,
    root: Hash256(bytes: [UInt8](repeating: 0xAB, count: 32))!)

  @Test("the example on the format page is what the code reads and writes")
  func example() throws {
    let bytes = try FormatPage.example()
    #expect(DigestMapHeader.decode(bytes) == .header(header))
    #expect(header.encode() == bytes)
  }

  @Test("a delta's header has the bytes of the format page")
  func deltaHeader() throws {
    var delta = DigestDeltaHeader(format: header.format, baseRoot: Hash256(bytes: Array(0..<32))!)
    #expect(try #require(DigestDeltaHeader(decoding: delta.encode())) == delta)
    delta.seal = DigestDeltaHeader.Seal(
      pass: header.pass, root: header.root, touchedLeaves: 258, bitmapHash: Hash256(bytes: Array(32..<64))!)
    var expected = Array("VMRPLDLT".utf8)  // magic
    expected += [1, 0, 0, 0]  // version
    expected += [1, 0, 0, 0]  // state: sealed
    expected += [2, 1, 0, 0, 0, 0, 0, 0]  // touched leaves
    expected += [1, 0, 0, 0]  // algorithm
    expected += [0, 0x10, 0, 0]  // page size
    expected += [0, 0, 0, 0x40, 0, 0, 0, 0]  // disk size
    expected += HexText.decode("00112233445566778899aabbccddeeff")!  // disk ID
    expected += HexText.decode("ffeeddccbbaa99887766554433221100")!  // key ID
    expected += Array(0..<32)  // root of the base map
    expected += HexText.decode("0f1e2d3c4b5a69788796a5b4c3d2e1f0")!  // pass ID
    expected += [UInt8](repeating: 0xAB, count: 32)  // root of base plus delta
    expected += Array(32..<64)  // hash of the bitmap
    expected += [UInt8](repeating: 0, count: 480 - expected.count)  // reserved
    expected += SHA256Hasher.hash(expected).bytes  // checksum
    #expect(delta.encode() == expected)
    #expect(try #require(DigestDeltaHeader(decoding: expected)) == delta)
  }

  @Test("a header with any byte changed is no header")
  func anyByte() {
    let (good, delta) = (header.encode(), DigestDeltaHeader(format: header.format, baseRoot: .zero).encode())
    for index in good.indices {
      var (bytes, deltaBytes) = (good, delta)
      bytes[index] ^= 1
      deltaBytes[index] ^= 1
      #expect(DigestMapHeader.decode(bytes) == .nothing, "byte \(index)")
      #expect(DigestDeltaHeader(decoding: deltaBytes) == nil, "byte \(index)")
    }
  }

  @Test(
    "values that the format page does not allow are unknown, whatever their checksum",
    arguments: [(8, 2), (12, 3), (24, 2), (28, 1), (39, 0xFF), (136, 1), (479, 1), (23, 0x80)])
  func unknownValues(offset: Int, value: UInt8) throws {
    var fields = try #require(HeaderFields(checking: header.encode()))
    fields.put([value], at: offset)
    let reading = DigestMapHeader.decode(fields.sealed())
    guard case .unknown = reading else {
      Issue.record("byte \(offset) = \(value) was read as \(reading)")
      return
    }
  }

  @Test("the parts of a file stand where the format page says, without overlap")
  func layout() {
    for pages: Int64 in [1, 256, 257, 65_536, 65_537, 1 << 24, (1 << 24) + 1, 1 << 34] {
      let layout = DigestFileLayout(grid: PageGrid(sizeBytes: pages * 4096, pageSizeBytes: 4096)!)
      var end = 8192 + 4096 * layout.leafCount
      #expect(layout.leafOffset(layout.leafCount - 1) + 4096 == end)
      for level in 1...layout.shape.levelCount {
        #expect(layout.nodeOffset(level: level, 0) == (end + 4095) / 4096 * 4096)
        end = layout.nodeOffset(level: level, layout.shape.nodeCount(level: level))
      }
      #expect(layout.mapBytes == (end + 4095) / 4096 * 4096)
      #expect(layout.deltaBytes == layout.mapBytes + (layout.leafCount + 63) / 64 * 8)
      #expect(layout.shape.nodeCount(level: layout.shape.levelCount) == 1)
    }
    let largest = DigestTreeShape(grid: PageGrid(sizeBytes: PageGrid.maximumSizeBytes, pageSizeBytes: 4096)!)
    #expect(
      (1...largest.levelCount).map { largest.nodeCount(level: $0) } == [1 << 26, 1 << 18, 1 << 10, 4, 1])
  }

  @Test("a request outside the tree, or for too much, is refused")
  func allows() {
    let shape = DigestTreeShape(grid: PageGrid(sizeBytes: 65_537 * 4096, pageSizeBytes: 4096)!)
    #expect(shape.allows(level: 1, first: 0, count: 256) && shape.allows(level: 1, first: 256, count: 1))
    #expect(shape.allows(level: 3, first: 0, count: 1))
    let refused: [(Int, Int64, Int)] = [
      (0, 0, 1), (4, 0, 1), (-1, 0, 1), (.max, 0, 1), (1, 0, 0), (1, 0, 257), (1, 0, -1), (1, 257, 1),
      (1, 256, 2),
      (1, -1, 1), (1, .max, 1), (1, .min, 1), (1, 0, .max), (2, 1, 2),
    ]
    for (level, first, count) in refused {
      #expect(!shape.allows(level: level, first: first, count: count), "\(level) \(first) \(count)")
    }
  }
}
