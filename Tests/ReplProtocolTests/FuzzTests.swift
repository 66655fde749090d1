import ReplCompression
import ReplModel
import Testing

@testable import ReplProtocol

@Suite("mutated frames")
struct FuzzTests {
  static let seed: UInt64 = 0x5EED_0001
  static let rounds = 20_000

  /// One to four edits: a byte changed, a byte of a known bad value, a cut, bytes doubled or put in.
  static func mutate(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let position = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
      switch UInt8.random(in: 0..<6, using: &random) {
      case 0 where !bytes.isEmpty: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1 where !bytes.isEmpty:
        bytes[position] = [0, 0x7F, 0x80, 0xFF, 0x22, 0x5B, 0x7D].randomElement(using: &random)!
      case 2: bytes = Array(bytes[..<position])
      case 3: bytes.insert(contentsOf: bytes[position...].prefix(20), at: position)
      case 4: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
      default:
        bytes.append(contentsOf: Array("99999999999999999999".utf8).prefix(Int(position % 20)))
      }
    }
    return bytes
  }

  @Test("mutated payloads decode or throw a typed error, and nothing else")
  func payloads() throws {
    var random = SeededRandom(seed: Self.seed)
    let payloads = try Fixture.payloads() + [(.offer, Fixture.seedOffer.encode())]
    var refused = 0
    var accepted = 0
    for round in 0..<Self.rounds {
      let (type, bytes) = payloads[round % payloads.count]
      let mutated = Self.mutate(bytes, &random)
      do throws(ProtocolError) {
        try Fixture.decode(type, mutated)
        accepted += 1
      } catch {
        refused += 1
        // Texts of the peer may be inside: none may be raw or long.
        let text = error.description
        let isSafe = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E }
        #expect(isSafe && text.utf8.count < 4096, "seed \(Self.seed) round \(round): \(text)")
      }
    }
    #expect(refused + accepted == Self.rounds)
    #expect(refused > Self.rounds / 2, "seed \(Self.seed)")
    #expect(accepted > 0, "seed \(Self.seed)")
  }

  @Test("a mutated batch that is accepted keeps every rule: disk, range, order, length")
  func batches() throws {
    var random = SeededRandom(seed: Self.seed &+ 1)
    let valid = try Fixture.batch()
    var accepted = 0
    for round in 0..<Self.rounds {
      let mutated = Self.mutate(valid, &random)
      guard let batch = Self.accepted(mutated) else { continue }
      accepted += 1
      let grid = Fixture.grids[batch.diskIndex]
      var position: Int64 = 0
      var data: Int64 = 0
      for run in batch.runs {
        #expect(run.firstPage >= position && run.pages.upperBound <= grid.pageCount)
        position = run.pages.upperBound
        if run.kind == .data { data += grid.bytes(of: run.pages).length }
      }
      #expect(data == Int64(batch.rawLength), "seed \(Self.seed) round \(round)")
      #expect(batch.payload.upperBound == mutated.count)
      #expect(batch.payload.count <= batch.rawLength)
    }
    #expect(accepted > 100, "seed \(Self.seed)")
  }

  private static func accepted(_ bytes: [UInt8]) -> Batch? {
    // A refusal is what most mutations deserve; which one is checked elsewhere.
    try? BatchTests.decode(bytes)
  }

  @Test("a mutated stream ends in a typed error or in whole frames, and never reads past its end")
  func streams() throws {
    var random = SeededRandom(seed: Self.seed &+ 2)
    let stream = try FrameTests.stream().bytes
    var errors = 0
    for round in 0..<2000 {
      let mutated = Self.mutate(stream, &random)
      var reader = FrameReader()
      var rest = mutated[...]
      var taken = 0
      do throws(ProtocolError) {
        while let frame = try reader.next(from: &rest) {
          taken += FrameHeader.byteCount + frame.payload.count
        }
        try reader.finish(rest: rest)
      } catch {
        errors += 1
      }
      #expect(taken + rest.count == mutated.count, "seed \(Self.seed) round \(round)")
    }
    #expect(errors > 500, "seed \(Self.seed)")
  }

  @Test("random bytes of every length are no banner, no header and no batch")
  func randomBytes() {
    var random = SeededRandom(seed: Self.seed &+ 3)
    for length in 0..<600 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      let banner = try? raw(bytes) { (b) throws(ProtocolError) in try Banner.parse(prefix: b) }
      #expect(banner == nil, "seed \(Self.seed) length \(length)")
      // 2^-40 of all random headers are right: none of these.
      #expect(throws: ProtocolError.self, "seed \(Self.seed) length \(length)") {
        try raw(bytes) { (b) throws(ProtocolError) in try FrameHeader(decoding: b) }
      }
      #expect(Self.accepted(bytes) == nil, "seed \(Self.seed) length \(length)")
    }
  }
}
