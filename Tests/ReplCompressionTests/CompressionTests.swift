import Glibc
import ReplModel
import Testing

@testable import ReplCompression

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

enum Block {
  static func random(_ count: Int, _ generator: inout SplitMix) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
  }

  /// Words of a small vocabulary, like a log or a configuration.
  static func text(_ count: Int, _ generator: inout SplitMix) -> [UInt8] {
    let words = [
      "kernel", "error", "device", "0x7f", "mounted", "session", "user=root", "port", "\n", "2026-11-22",
    ]
    var bytes: [UInt8] = []
    while bytes.count < count { bytes += Array((words.randomElement(using: &generator)! + " ").utf8) }
    return Array(bytes[..<count])
  }
}

func pack(_ codec: Codec, _ bytes: [UInt8], room: Int? = nil, level: Int = 1) throws -> [UInt8]? {
  try pack(try Compressor(codec: codec, level: level), bytes, room: room)
}

func pack(_ compressor: Compressor, _ bytes: [UInt8], room: Int? = nil) throws -> [UInt8]? {
  var output = [UInt8](repeating: 0xEE, count: room ?? bytes.count * 2 + 1024)
  let count = try output.withUnsafeMutableBytes { output in
    try bytes.withUnsafeBytes { try compressor.compress($0, into: output) }
  }
  return count.map { Array(output[..<$0]) }
}

func unpack(
  _ codec: Codec, _ bytes: [UInt8], _ count: Int, with decompressor: Decompressor = Decompressor()
) throws
  -> [UInt8]
{
  // Guard bytes on both sides show writes past the end.
  var output = [UInt8](repeating: 0xEE, count: count + 64)
  try output.withUnsafeMutableBytes { all in
    defer { #expect(all[..<32].allSatisfy { $0 == 0xEE } && all[(count + 32)...].allSatisfy { $0 == 0xEE }) }
    let output = UnsafeMutableRawBufferPointer(rebasing: all[32..<(count + 32)])
    try bytes.withUnsafeBytes { try decompressor.decompress(codec, $0, into: output) }
  }
  return Array(output[32..<(count + 32)])
}

func code<Value>(_ body: () throws -> Value) -> CompressionError.Code? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? CompressionError)?.code
  }
}

@Suite struct CompressionTests {
  @Test(
    "what is packed unpacks to the same, with one compressor and one decompressor for all",
    arguments: Codec.allCases)
  func roundTrip(codec: Codec) throws {
    var random = SplitMix(seed: 1)
    let text = Block.text(1 << 20, &random)
    let noise = Block.random(1 << 20, &random)
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    for level in [1, 3, 9] {
      let compressor = try Compressor(codec: codec, level: level)
      let decompressor = Decompressor()
      for count in [0, 1, 100, 4096, 65_536, 1 << 20] {
        for bytes in [text, noise, zeros].map({ Array($0[..<count]) }) {
          let packed = try #require(try pack(compressor, bytes))
          #expect(
            try unpack(codec, packed, count, with: decompressor) == bytes, "level \(level), \(count) bytes")
        }
      }
    }
  }

  @Test("text shrinks, and the same block packs to the same bytes again")
  func shrinks() throws {
    var random = SplitMix(seed: 2)
    let text = Block.text(1 << 20, &random)
    for codec in [Codec.zlib, .zstd] {
      let compressor = try Compressor(codec: codec)
      let first = try #require(try pack(compressor, text))
      #expect(first.count < text.count / 3)
      _ = try pack(compressor, Block.random(5000, &random), room: 10)
      #expect(try pack(compressor, text) == first)
    }
  }

  @Test(
    "a level that changes between blocks gives what a compressor of that level gives",
    arguments: [Codec.zlib, .zstd])
  func levelChanges(_ codec: Codec) throws {
    var generator = SplitMix(seed: 14)
    let changing = try Compressor(codec: codec)
    for level in [1, 6, 6, 3, 1, 9] {
      let block = Block.text(200_000, &generator)
      try changing.setLevel(level)
      #expect(changing.level == level)
      let packed = try #require(try pack(changing, block))
      #expect(packed == (try pack(codec, block, level: level)))
      #expect(try unpack(codec, packed, block.count) == block)
    }
    #expect(throws: CompressionError.self) { try changing.setLevel(10) }
    #expect(changing.level == 9)
  }

  @Test("a result that does not fit is nil, whatever the room", arguments: Codec.allCases)
  func noRoom(codec: Codec) throws {
    var random = SplitMix(seed: 3)
    let bytes = Block.random(4096, &random)
    let compressor = try Compressor(codec: codec)
    let needed = try #require(try pack(compressor, bytes)).count
    for room in [0, 1, 10, 100, 3000, needed - 1] { #expect(try pack(compressor, bytes, room: room) == nil) }
    #expect(try pack(compressor, bytes, room: needed + 64)?.count == needed)
  }

  @Test("a block that is larger or smaller than declared is refused", arguments: Codec.allCases)
  func wrongSize(codec: Codec) throws {
    var random = SplitMix(seed: 4)
    let bytes = Block.text(10_000, &random)
    let packed = try #require(try pack(codec, bytes))
    for declared in [0, 1, 9_999] {
      #expect(code { try unpack(codec, packed, declared) } == .outputTooLarge, "\(declared) declared")
    }
    for declared in [10_001, 20_000] {
      #expect(code { try unpack(codec, packed, declared) } == .outputTooSmall, "\(declared) declared")
    }
  }

  @Test("trailing bytes, a second frame and an early end are refused", arguments: [Codec.zlib, .zstd])
  func trailing(codec: Codec) throws {
    var random = SplitMix(seed: 5)
    let bytes = Block.text(10_000, &random)
    let packed = try #require(try pack(codec, bytes))
    #expect(code { try unpack(codec, packed + [0], 10_000) } == .trailingBytes)
    #expect(code { try unpack(codec, packed + packed, 10_000) } == .trailingBytes)
    let both = code { try unpack(codec, packed + packed, 20_000) }
    #expect(both == .outputTooSmall || both == .trailingBytes)
    for count in [0, 1, 3, 5, 6, packed.count / 2, packed.count - 1] {
      #expect(code { try unpack(codec, Array(packed[..<count]), 10_000) } == .truncated, "\(count) bytes")
    }
  }

  @Test(
    "bombs stop at the declared size: a hundredfold stream writes nothing past it",
    arguments: [Codec.zlib, .zstd])
  func bombs(codec: Codec) throws {
    let bomb = try #require(try pack(codec, [UInt8](repeating: 0, count: 4 << 20)))
    #expect(bomb.count < 32_768)
    for declared in [0, 1, 4096, 1 << 20] {
      #expect(code { try unpack(codec, bomb, declared) } == .outputTooLarge)
    }
  }

  /// The last block of a frame: `count` times one byte (RFC 8878, section 3.1.1.2).
  private func repeating(_ byte: UInt8, _ count: Int) -> [UInt8] {
    let header = count << 3 | 0b011
    return [header, header >> 8, header >> 16].map { UInt8(truncatingIfNeeded: $0) } + [byte]
  }

  @Test("a zstd frame that lies about its size is refused")
  func zstdSizeLie() throws {
    // Magic; descriptor: single segment, size in one byte (100); one last RLE block of 4000 times 0x61.
    let lie: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 100] + repeating(0x61, 4000)
    let found = code { try unpack(.zstd, lie, 100) }
    #expect(found == .malformed || found == .outputTooLarge)
    // The same frame with an honest block is fine.
    let honest: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 100] + repeating(0x61, 100)
    #expect(try unpack(.zstd, honest, 100) == [UInt8](repeating: 0x61, count: 100))
  }

  @Test("a zstd frame with a window over 8 MiB, without a size, with a dictionary or skippable is refused")
  func zstdHeaders() throws {
    // A last RLE block of one byte behind every header.
    let block = repeating(0x61, 1)
    let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
    // Descriptor 0x40: a window byte, then the size in two bytes (less 256); here 256 + 1.
    let two = repeating(0x61, 257)
    for windowLog: UInt8 in [10, 20, 23] {
      let frame = magic + [0x40, (windowLog - 10) << 3, 1, 0] + two
      #expect(try unpack(.zstd, frame, 257).count == 257, "window 2^\(windowLog)")
    }
    for window: UInt8 in [(23 - 10) << 3 | 1, (24 - 10) << 3, (31 - 10) << 3, 0xFF] {
      #expect(code { try unpack(.zstd, magic + [0x40, window, 1, 0] + two, 257) } == .windowTooLarge)
    }
    #expect(code { try unpack(.zstd, magic + [0x00, 0x00] + block, 1) } == .malformed)  // no size
    #expect(code { try unpack(.zstd, magic + [0x21, 1, 1] + block, 1) } == .malformed)  // dictionary
    #expect(code { try unpack(.zstd, magic + [0x28, 1] + block, 1) } == .malformed)  // reserved bit
    let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]
    #expect(code { try unpack(.zstd, skippable, 0) } == .malformed)
    #expect(code { try unpack(.zstd, skippable + magic + [0x20, 1] + block, 1) } == .malformed)
    let huge = magic + [0xE0] + [UInt8](repeating: 0xFF, count: 8) + block
    #expect(code { try unpack(.zstd, huge, 1 << 20) } == .outputTooLarge)
  }

  @Test("a zlib stream that wants a dictionary or fails its checksum is refused")
  func zlibHeaders() throws {
    #expect(code { try unpack(.zlib, [0x78, 0xBB, 1, 2, 3, 4, 0, 0], 10) } == .malformed)
    var packed = try #require(try pack(.zlib, Array("some text, some text".utf8)))
    packed[packed.count - 1] ^= 1
    #expect(code { try unpack(.zlib, packed, 20) } == .malformed)
  }

  @Test("a block over the limit and a level that does not exist are refused")
  func limits() throws {
    let large = [UInt8](repeating: 0, count: CompressionLimits.maximumBlockBytes + 1)
    for codec in Codec.allCases {
      #expect(code { _ = try pack(codec, large, room: 100) } == .limit)
      #expect(code { _ = try unpack(codec, large, 10) } == .limit)
      #expect(code { _ = try unpack(codec, [1], large.count) } == .limit)
      for level in [0, -1, 10, .max, .min] {
        #expect(code { _ = try Compressor(codec: codec, level: level) } == .limit)
      }
    }
  }

  @Test(
    "any garbage gives a typed error or the declared bytes, the same each time",
    arguments: [Codec.zlib, .zstd])
  func garbage(codec: Codec) throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SplitMix(seed: seed)
    let decompressor = Decompressor()
    let text = Block.text(2000, &random)
    let good = try #require(try pack(codec, text))
    var refused = 0
    for round in 0..<3000 {
      var bytes = good
      switch round % 3 {
      case 0: bytes = Block.random(Int.random(in: 0..<300, using: &random), &random)
      case 1:
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8(truncatingIfNeeded: random.next())
        }
      default: bytes = Array(good.prefix(6)) + Block.random(Int.random(in: 0..<300, using: &random), &random)
      }
      let first = Result { try unpack(codec, bytes, 2000, with: decompressor) }
      let second = Result { try unpack(codec, bytes, 2000) }
      switch (first, second) {
      case (.success(let one), .success(let two)): #expect(one == two, "seed \(seed) round \(round)")
      case (.failure(let one as CompressionError), .failure(let two as CompressionError)):
        #expect(one == two, "seed \(seed) round \(round)")
        refused += 1
      default: Issue.record("seed \(seed) round \(round): \(first) and \(second)")
      }
    }
    #expect(refused > 2000)
    #expect(try unpack(codec, good, 2000, with: decompressor) == text)
  }

  @Test("codecs are numbers on the wire and names in JSON, and no others exist")
  func names() {
    #expect(Codec.allCases.map(\.rawValue) == [0, 1, 2])
    #expect(Codec.allCases.map(\.name) == ["raw", "zlib", "zstd"])
    for codec in Codec.allCases { #expect(Codec(name: codec.name) == codec) }
    #expect(Codec(name: "ZSTD") == nil && Codec(name: "") == nil && Codec(rawValue: 3) == nil)
  }
}

@Suite struct CompressibilityProbeTests {
  private func probe(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { CompressibilityProbe.looksIncompressible($0) }
  }

  @Test("random and packed data look incompressible from 32 KiB on", arguments: [32_768, 65_536, 1 << 20])
  func random(count: Int) throws {
    var random = SplitMix(seed: UInt64(count))
    #expect(probe(Block.random(count, &random)))
    var packed: [UInt8] = []
    while packed.count < count { packed += try #require(try pack(.zstd, Block.text(1 << 20, &random))) }
    // zstd's output of plain text: literals are Huffman codes, sequences FSE codes.
    #expect(probe(Array(packed[..<count])) || count < 65_536)
  }

  @Test("text, zeros, machine-like records and half-random data are worth packing")
  func compressible() {
    var random = SplitMix(seed: 9)
    for count in [4096, 65_536, 1 << 20] {
      #expect(!probe(Block.text(count, &random)))
      #expect(!probe([UInt8](repeating: 0, count: count)))
      #expect(!probe((0..<count).map { $0 % 16 < 8 ? UInt8(truncatingIfNeeded: $0 / 16) : 0 }))
      let half = Block.random(count / 2, &random) + Block.text(count - count / 2, &random)
      #expect(!probe(half))
    }
  }

  @Test("blocks too short to tell are always worth a try")
  func short() {
    var random = SplitMix(seed: 10)
    for count in [0, 1, 17, 1024, 1800] { #expect(!probe(Block.random(count, &random))) }
    for count in [4096, 8192, 16_384, 20_480] {
      #expect(probe(Block.random(count, &random)), "\(count) bytes")
    }
  }
}
