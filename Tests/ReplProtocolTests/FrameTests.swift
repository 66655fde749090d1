import ReplModel
import Testing

@testable import ReplProtocol

@Suite("frames")
struct FrameTests {
  @Test("a frame header has the layout of the protocol page")
  func goldenHeader() throws {
    let header = try FrameHeader(
      type: .batch, payloadLength: 0x012345, sequence: 0x0102_0304_0506_0708)
    let golden: [UInt8] = [
      0x45, 0x23, 0x01, 0x00,  // length, little-endian
      0x0A,  // type 10, batch
      0x00,  // flags
      0x00, 0x00,  // reserved
      0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,  // sequence, little-endian
    ]
    #expect(header.encode() == golden)
    #expect(try raw(golden) { (b) throws(ProtocolError) in try FrameHeader(decoding: b) } == header)
  }

  @Test("message numbers are the fixed ones")
  func messageNumbers() {
    let names = MessageType.allCases.map { "\($0.rawValue) \($0)" }
    #expect(
      names == [
        "1 hello", "2 keyRequest", "3 key", "4 offer", "5 accept", "6 nodesRequest", "7 nodes",
        "8 leavesRequest", "9 leaves", "10 batch", "11 file", "12 ack", "13 resend", "14 commit",
        "15 committed", "16 settled", "17 heartbeat", "18 error", "19 goodbye", "20 reading", "21 proof",
        "22 statement",
      ])
  }

  static let headers: [(name: String, bytes: [UInt8], error: ProtocolError)] = [
    (
      "a length of 0xFFFFFFFF", [0xFF, 0xFF, 0xFF, 0xFF, 10, 0, 0, 0] + sequence,
      .payloadLength(.batch, found: 0xFFFF_FFFF, allowed: 34...((1 << 20) + (64 << 10)))
    ),
    (
      "a length with the sign bit set", [0, 0, 0, 0x80, 1, 0, 0, 0] + sequence,
      .payloadLength(.hello, found: 0x8000_0000, allowed: 2...(1 << 20))
    ),
    (
      "a control message one byte too long", [1, 0, 0x10, 0, 4, 0, 0, 0] + sequence,
      .payloadLength(.offer, found: (1 << 20) + 1, allowed: 2...(1 << 20))
    ),
    (
      "a zero-length control message", [0, 0, 0, 0, 4, 0, 0, 0] + sequence,
      .payloadLength(.offer, found: 0, allowed: 2...(1 << 20))
    ),
    (
      "a heartbeat with a payload", [1, 0, 0, 0, 17, 0, 0, 0] + sequence,
      .payloadLength(.heartbeat, found: 1, allowed: 0...0)
    ),
    ("type 0", [2, 0, 0, 0, 0, 0, 0, 0] + sequence, .unknownType(0)),
    ("type 23", [2, 0, 0, 0, 23, 0, 0, 0] + sequence, .unknownType(23)),
    ("a flag", [2, 0, 0, 0, 1, 0x80, 0, 0] + sequence, .reserved(field: "flags", found: 0x80)),
    (
      "a reserved bit", [2, 0, 0, 0, 1, 0, 0, 1] + sequence,
      .reserved(field: "reserved", found: 0x100)
    ),
    (
      "fifteen bytes", [UInt8](repeating: 0, count: 15),
      .truncated(.header, found: 15, expected: 16)
    ),
  ]
  static let sequence = [UInt8](repeating: 0, count: 8)

  @Test("a hostile header is refused before anything is made of it", arguments: headers.indices)
  func hostileHeader(index: Int) {
    let (name, bytes, error) = Self.headers[index]
    #expect(throws: error, "\(name)") {
      try raw(bytes) { (b) throws(ProtocolError) in try FrameHeader(decoding: b) }
    }
  }

  @Test(
    "every length is refused above and below the limits of every type",
    arguments: MessageType.allCases)
  func lengthLimits(type: MessageType) throws {
    let allowed = ProtocolLimits.standard.payloadLengths(of: type)
    for length in [allowed.lowerBound, allowed.upperBound] {
      #expect(
        try FrameHeader(type: type, payloadLength: length, sequence: 0).payloadLength == length)
    }
    for length in [allowed.lowerBound - 1, allowed.upperBound + 1, .max, .min] {
      #expect(throws: ProtocolError.payloadLength(type, found: length, allowed: allowed)) {
        try FrameHeader(type: type, payloadLength: length, sequence: 0)
      }
    }
    #expect(allowed.upperBound <= ProtocolLimits.standard.largestPayloadBytes)
  }

  /// One frame of every type, in order.
  static func stream() throws -> (bytes: [UInt8], ends: [Int]) {
    var bytes: [UInt8] = []
    var ends: [Int] = []
    for (index, payload) in try Fixture.payloads().enumerated() {
      let header = try FrameHeader(
        type: payload.type, payloadLength: payload.bytes.count, sequence: UInt64(index))
      bytes += header.encode() + payload.bytes
      ends.append(bytes.count)
    }
    return (bytes, ends)
  }

  @Test(
    "a stream of every frame cut at every byte gives the whole frames before the cut and a typed error"
  )
  func cutAtEveryByte() throws {
    let (bytes, ends) = try Self.stream()
    var cuts = 0
    for cut in 0...bytes.count {
      var reader = FrameReader()
      var rest = bytes[..<cut]
      var types: [MessageType] = []
      while let frame = try reader.next(from: &rest) { types.append(frame.header.type) }
      #expect(types.count == ends.count { $0 <= cut })
      if cut == 0 || ends.contains(cut) {
        try reader.finish(rest: rest)
        #expect(rest.isEmpty)
      } else {
        let error = #expect(throws: ProtocolError.self) { try reader.finish(rest: rest) }
        guard case .truncated = error else {
          Issue.record("cut at \(cut): \(String(describing: error))")
          continue
        }
        #expect(error?.remedy == .retryPass)
        #expect(error?.description.contains("truncated frame") == true)
        cuts += 1
      }
    }
    #expect(cuts == bytes.count - ends.count)
  }

  @Test("frames are read with their payloads, byte for byte")
  func framesCarryTheirPayloads() throws {
    var reader = FrameReader()
    var rest = try Self.stream().bytes[...]
    for (type, payload) in try Fixture.payloads() {
      let frame = try #require(try reader.next(from: &rest))
      #expect(frame.header.type == type)
      #expect(frame.payload == payload)
    }
    #expect(try reader.next(from: &rest) == nil)
  }

  @Test("a repeated, skipped or reordered frame is refused", arguments: [0, 2, UInt64.max])
  func wrongSequence(sequence: UInt64) throws {
    var reader = FrameReader()
    let first = try FrameHeader(type: .heartbeat, payloadLength: 0, sequence: 0)
    _ = try first.encode().withRawBytes { (b) throws(ProtocolError) in try reader.header(b) }
    let next = try FrameHeader(type: .heartbeat, payloadLength: 0, sequence: sequence).encode()
    #expect(throws: ProtocolError.sequence(found: sequence, expected: 1)) {
      try next.withRawBytes { (b) throws(ProtocolError) in try reader.header(b) }
    }
  }
}
