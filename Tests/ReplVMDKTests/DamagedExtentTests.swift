import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

/// Extents that nobody wrote on purpose: they are read or refused, never trapped on, and within bounded time.
@Suite("damaged extents") struct DamagedExtentTests {
  struct Image: Sendable, CustomTestStringConvertible {
    let name: String
    let kind: VMDKExtentLine.Kind
    let sectors: Int64
    let bytes: [UInt8]
    /// Where header and tables lie: damage to what grains hold is no damage to the extent.
    let targets: [Range<Int>]
    var testDescription: String { name }
  }

  private static let images: [Image] = {
    let grain = [UInt8](repeating: 3, count: 8192)
    var hosted = SparseImageBuilder()
    hosted.flags = 0b111
    hosted.grains = [(0, grain), (3, grain)]
    var stream = StreamOptimizedBuilder()
    stream.capacity = 16 * 40 + 5
    stream.grains = [.init(index: 39, data: grain), .init(index: 7, data: grain, isStored: true)]
    stream.hasProgressMarkers = false
    var cowd = COWDBuilder()
    cowd.grains = [(0, [UInt8](repeating: 1, count: 512)), (4100, [UInt8](repeating: 2, count: 512))]
    var seSparse = SESparseBuilder()
    seSparse.grains = [(0, .zero), (1, .unmapped), (4100, .data([UInt8](repeating: 2, count: 4096)))]
    let streamed = (try? stream.build()) ?? []  // an empty image fails the test
    return [
      Image(
        name: "hosted", kind: .sparse, sectors: 1157, bytes: hosted.build(),
        targets: [0..<80, (21 * 512)..<(21 * 512 + 64), (26 * 512)..<(26 * 512 + 4), 13_824..<13_864]),
      Image(
        name: "stream", kind: .sparse, sectors: 645, bytes: streamed,
        targets: [0..<80, 65_536..<65_600, (streamed.count - 8 * 512)..<streamed.count]),
      Image(
        name: "COWD", kind: .vmfsSparse, sectors: 4224, bytes: cowd.build(),
        targets: [0..<40, 2048..<2064, 2560..<2600]),
      Image(
        name: "seSparse", kind: .seSparse, sectors: 34_816, bytes: seSparse.build(),
        targets: [0..<600, 4096..<4120, (9 * 512)..<(9 * 512 + 64), (73 * 512)..<(73 * 512 + 64)]),
    ]
  }()

  @Test("a damaged extent is read or refused", arguments: images, [1, 2, 3])
  func damaged(_ image: Image, _ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var outcomes: [String: Int] = [:]
    for _ in 0..<400 {
      var bytes = image.bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let place = try #require(image.targets.randomElement(using: &random)?.randomElement(using: &random))
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = .random(in: 0...255, using: &random)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 2: for index in place..<min(place + 8, bytes.count) { bytes[index] = 0xFF }
        default: for index in place..<min(place + 4, bytes.count) { bytes[index] = 0 }
        }
      }
      outcomes[try outcome(image, bytes), default: 0] += 1
    }
    #expect(outcomes.count == 3, "seed \(seed), \(image.name): \(outcomes)")
  }

  /// Everything that is present is read, up to a bound that only damage reaches.
  private func outcome(_ image: Image, _ bytes: [UInt8]) throws -> String {
    do {
      let extent = try MemoryFile(bytes).open(image.kind, sectors: image.sectors).extent
      #expect(extent.sizeBytes == image.sectors * 512)
      var position: Int64 = 0
      while position < extent.sizeBytes, let next = try extent.nextPresent(atOrAfter: position) {
        let piece = try extent.piece(at: next)
        try #require(next >= position && piece.length > 0 && piece.kind != .absent)
        if piece.kind == .data {
          var buffer = [UInt8](repeating: 0, count: Int(min(piece.length, 1 << 16)))
          try extent.read(&buffer, from: next)
        }
        position = next + piece.length
      }
      return "read"
    } catch let error as VMDKError {
      #expect(!error.description.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "\(error)")
      return "refused"
    } catch let error as IOError {
      #expect(error.kind == .damaged || error.kind == .unexpectedEnd, "\(error)")
      return "damaged"
    }
  }
}
