import ReplCompression
import ReplModel
import Testing

@testable import ReplProtocol

@Suite("batches")
struct BatchTests {
  static let all = Set(Codec.allCases)

  static func decode(
    _ bytes: [UInt8], disks: [PageGrid] = Fixture.grids, codecs: Set<Codec> = all
  ) throws(ProtocolError) -> Batch {
    try raw(bytes) { (b) throws(ProtocolError) in
      try BatchMessage.decode(b, disks: disks, codecs: codecs)
    }
  }

  /// A batch payload with any numbers.
  static func bytes(
    disk: UInt16 = 1, codec: UInt8 = 0, reserved: UInt8 = 0, runCount: UInt32 = 2,
    rawLength: UInt32 = 5,
    tableLength: UInt32? = nil, table: [UInt8] = [0x02, 0x05, 0x04, 0x02],
    data: [UInt8] = Array("hello".utf8)
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    LittleEndian.append(disk, to: &bytes)
    bytes += [codec, reserved]
    LittleEndian.append(runCount, to: &bytes)
    LittleEndian.append(rawLength, to: &bytes)
    LittleEndian.append(tableLength ?? UInt32(table.count), to: &bytes)
    return bytes + (0..<16).map { UInt8($0) } + table + data
  }

  @Test("a batch has the layout of the protocol page")
  func golden() throws {
    let golden: [UInt8] = [
      0x01, 0x00,  // disk 1
      0x00,  // codec raw
      0x00,  // reserved
      0x02, 0x00, 0x00, 0x00,  // run count
      0x05, 0x00, 0x00, 0x00,  // raw length: the short last page has five bytes
      0x04, 0x00, 0x00, 0x00,  // run table length
      0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,  // batch digest, low word
      0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F,  // batch digest, high word
      0x02, 0x05,  // gap 2; 2 pages of zeros: 2 * 2 + 1
      0x04, 0x02,  // gap 4; 1 page of data: 1 * 2 + 0
      0x68, 0x65, 0x6C, 0x6C, 0x6F,  // "hello"
    ]
    #expect(try Fixture.batch() == golden)
    #expect(Self.bytes() == golden)
    let batch = try Self.decode(golden)
    #expect(batch.diskIndex == 1)
    #expect(batch.codec == .raw)
    #expect(batch.runs == Fixture.runs)
    #expect(batch.rawLength == 5)
    #expect(batch.digest == Fixture.digest)
    #expect(Array(golden[batch.payload]) == Array("hello".utf8))
  }

  static func varint(_ number: UInt64) -> [UInt8] {
    var rest = number
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  static let hostile: [(name: String, bytes: [UInt8], error: ProtocolError)] = [
    ("a foreign disk", bytes(disk: 2), .batch(.foreignDisk(index: 2, disks: 2))),
    ("disk 65535", bytes(disk: 0xFFFF), .batch(.foreignDisk(index: 65535, disks: 2))),
    ("an unknown codec", bytes(codec: 3), .batch(.unknownCodec(3))),
    ("codec 255", bytes(codec: 255), .batch(.unknownCodec(255))),
    ("a reserved byte", bytes(reserved: 1), .reserved(field: "batch reserved", found: 1)),
    ("no runs", bytes(runCount: 0), .batch(.runCount(found: 0, limit: 4096))),
    ("4097 runs", bytes(runCount: 4097), .batch(.runCount(found: 4097, limit: 4096))),
    ("2^32 - 1 runs", bytes(runCount: .max), .batch(.runCount(found: 0xFFFF_FFFF, limit: 4096))),
    (
      "a raw length above 1 MiB", bytes(rawLength: (1 << 20) + 1),
      .batch(.rawLength(found: (1 << 20) + 1, limit: 1 << 20))
    ),
    (
      "a raw length of 2^32 - 1", bytes(rawLength: .max),
      .batch(.rawLength(found: 0xFFFF_FFFF, limit: 1 << 20))
    ),
    ("a table of one byte", bytes(tableLength: 1), .batch(.tableLength(found: 1, limit: 65504))),
    (
      "a table beyond the payload", bytes(tableLength: 10),
      .batch(.tableLength(found: 10, limit: 9))
    ),
    (
      "a table of 2^32 - 1", bytes(tableLength: .max),
      .batch(.tableLength(found: 0xFFFF_FFFF, limit: 65504))
    ),
    ("more runs than the table holds", bytes(runCount: 3), .batch(.runTable(.truncated))),
    ("fewer runs than the table holds", bytes(runCount: 1), .batch(.runTable(.trailingBytes))),
    ("a run without pages", bytes(table: [0x02, 0x01, 0x04, 0x02]), .batch(.runTable(.emptyRun))),
    (
      "a run past the end of the disk", bytes(table: [0x02, 0x05, 0x05, 0x02]),
      .batch(.runTable(.outOfRange))
    ),
    (
      "a zero run longer than the disk", bytes(table: [0x00, 0x15, 0x04, 0x02]),
      .batch(.runTable(.outOfRange))
    ),
    (
      "offset plus length past 2^63",
      bytes(runCount: 1, table: varint((1 << 63) - 1) + varint((1 << 63) - 1)),
      .batch(.runTable(.outOfRange))
    ),
    (
      "a number of 2^64", bytes(runCount: 1, table: varint(.max) + [0x02]),
      .batch(.runTable(.outOfRange))
    ),
    (
      "a table cut inside a number", bytes(runCount: 1, table: [0x80, 0x80], data: []),
      .batch(.payloadLength(found: 0, codec: 0, rawLength: 5))
    ),
    (
      "a table that never ends", bytes(runCount: 1, table: [0x80, 0x80]),
      .batch(.runTable(.truncated))
    ),
    (
      "data of another length than declared", bytes(rawLength: 4, data: Array("hell".utf8)),
      .batch(.dataLength(found: 5, declared: 4))
    ),
    (
      "the short last page counted whole",
      bytes(rawLength: 4096, data: [UInt8](repeating: 1, count: 4096)),
      .batch(.dataLength(found: 5, declared: 4096))
    ),
    (
      "raw data with a trailing byte", bytes(data: Array("hello!".utf8)),
      .batch(.payloadLength(found: 6, codec: 0, rawLength: 5))
    ),
    (
      "compressed data larger than raw", bytes(codec: 2, data: Array("hello!".utf8)),
      .batch(.payloadLength(found: 6, codec: 2, rawLength: 5))
    ),
    (
      "no compressed data", bytes(codec: 1, data: []),
      .batch(.payloadLength(found: 0, codec: 1, rawLength: 5))
    ),
    (
      "data for zero runs only", bytes(runCount: 1, rawLength: 0, table: [0x02, 0x05]),
      .batch(.payloadLength(found: 5, codec: 0, rawLength: 0))
    ),
    (
      "a raw length without data runs", bytes(runCount: 1, table: [0x02, 0x05]),
      .batch(.dataLength(found: 0, declared: 5))
    ),
  ]

  @Test("a hostile batch is refused with its typed error", arguments: hostile.indices)
  func hostileBatch(index: Int) {
    let (name, bytes, error) = Self.hostile[index]
    #expect(throws: error, "\(name)") { try Self.decode(bytes) }
    #expect(error.number == .badFrame)
    #expect(!error.description.isEmpty)
  }

  @Test("a batch before any disk was offered is a protocol error")
  func blockFrameBeforeAnyDiskDeclaredIsProtocolError() throws {
    #expect(throws: ProtocolError.batch(.foreignDisk(index: 1, disks: 0))) {
      try Self.decode(Self.bytes(), disks: [])
    }
  }

  @Test("a codec that the hellos did not agree on is refused")
  func codecNotAgreed() throws {
    #expect(throws: ProtocolError.batch(.codecNotAgreed(2))) {
      try Self.decode(Self.bytes(codec: 2, data: [1]), codecs: [.raw, .zlib])
    }
    #expect(try Self.decode(Self.bytes(codec: 2, data: [1])).codec == .zstd)
  }

  @Test("a batch above the bound of the hellos is refused")
  func agreedBatchBytes() throws {
    var limits = ProtocolLimits.standard
    limits.batchRawBytes = 65536
    let bytes = Self.bytes(rawLength: 65537)
    #expect(throws: ProtocolError.batch(.rawLength(found: 65537, limit: 65536))) {
      try raw(bytes) { (b) throws(ProtocolError) in
        try BatchMessage.decode(b, disks: Fixture.grids, codecs: Self.all, limits: limits)
      }
    }
  }

  @Test("a batch cut at every byte is refused")
  func cutAtEveryByte() throws {
    let whole = try Fixture.batch()
    for cut in 0..<whole.count {
      #expect(throws: ProtocolError.self, "\(cut) bytes") { try Self.decode(Array(whole[..<cut])) }
    }
  }

  @Test("a zero run of a whole 64 TiB disk takes no data")
  func longestZeroRun() throws {
    let grid = try #require(PageGrid(sizeBytes: PageGrid.maximumSizeBytes, pageSizeBytes: 4096))
    let runs = [PageRun(kind: .zero, firstPage: 0, pageCount: grid.pageCount)]
    let bytes = try BatchMessage.encodePrefix(
      diskIndex: 0, grid: grid, codec: .raw, runs: runs, digest: .zero, payloadLength: 0)
    let batch = try Self.decode(bytes, disks: [grid])
    #expect(batch.runs == runs)
    #expect(batch.rawLength == 0)
    #expect(batch.payload.isEmpty)
  }

  @Test("what a peer would refuse is not sent")
  func encodingChecks() {
    func encode(
      _ runs: [PageRun], codec: Codec = .raw, payload: Int, disk: Int = 1
    )
      throws(ProtocolError)
    {
      _ = try BatchMessage.encodePrefix(
        diskIndex: disk, grid: Fixture.gridB, codec: codec, runs: runs, digest: .zero,
        payloadLength: payload)
    }
    #expect(throws: ProtocolError.batch(.runCount(found: 0, limit: 4096))) {
      try encode([], payload: 0)
    }
    #expect(throws: ProtocolError.batch(.runTable(.outOfRange))) {
      try encode([PageRun(kind: .data, firstPage: 8, pageCount: 2)], payload: 4101)
    }
    #expect(throws: ProtocolError.batch(.runTable(.outOfRange))) {
      try encode([PageRun(kind: .data, firstPage: 8, pageCount: .max)], payload: 0)
    }
    #expect(throws: ProtocolError.batch(.payloadLength(found: 6, codec: 2, rawLength: 5))) {
      try encode(Fixture.runs, codec: .zstd, payload: 6)
    }
    #expect(throws: ProtocolError.batch(.foreignDisk(index: 64, disks: 64))) {
      try encode(Fixture.runs, payload: 5, disk: 64)
    }
  }

  @Test("what is encoded is decoded to the same runs, for random disks and runs")
  func roundTrip() throws {
    let seed: UInt64 = 0xB47C
    var random = SeededRandom(seed: seed)
    for round in 0..<300 {
      let pageSize = PageGrid.allowedPageSizes.randomElement(using: &random)!
      let size = Int64.random(in: 1...(1 << 40), using: &random)
      let grid = try #require(PageGrid(sizeBytes: size, pageSizeBytes: pageSize))
      let runs = Self.randomRuns(grid, &random)
      let rawLength = Int(BatchMessage.dataByteCount(of: runs, grid: grid))
      let prefix = try BatchMessage.encodePrefix(
        diskIndex: 0, grid: grid, codec: .raw, runs: runs, digest: Fixture.digest,
        payloadLength: rawLength)
      let batch = try Self.decode(prefix + [UInt8](repeating: 7, count: rawLength), disks: [grid])
      #expect(batch.runs == runs, "seed \(seed) round \(round)")
      #expect(batch.rawLength == rawLength)
      #expect(batch.payload == prefix.count..<(prefix.count + rawLength))
    }
  }

  private static func randomRuns(_ grid: PageGrid, _ random: inout SeededRandom) -> [PageRun] {
    var runs: [PageRun] = []
    var position = Int64.random(in: 0..<grid.pageCount, using: &random)
    while runs.count < 16, position < grid.pageCount {
      let isData = Bool.random(using: &random)
      let most = isData ? min(grid.pageCount - position, 1) : grid.pageCount - position
      let count = Int64.random(in: 1...most, using: &random)
      runs.append(PageRun(kind: isData ? .data : .zero, firstPage: position, pageCount: count))
      position += count + Int64.random(in: 0..<1000, using: &random)
    }
    return runs
  }
}
