import ReplModel
import Testing

@testable import ReplProtocol

@Suite("tree answers and files")
struct TreeAndFileTests {
  static let request = NodesRequest(disk: 1, level: 1, first: 2, count: 3)

  private func nodes(_ bytes: [UInt8]) throws(ProtocolError) -> [Hash256] {
    try raw(bytes) { (b) throws(ProtocolError) in
      try TreeAnswer.decodeNodes(b, answering: Self.request)
    }
  }

  /// A right answer with one byte changed, and what is said of it.
  static let changes: [(name: String, offset: Int, error: ProtocolError)] = [
    ("disk", 0, .answerMismatch(.nodes, field: "disk", found: 0xFE, expected: 1)),
    ("level", 2, .answerMismatch(.nodes, field: "level", found: 0xFE, expected: 1)),
    ("reserved", 3, .reserved(field: "nodes reserved", found: 0xFF)),
    ("first", 4, .answerMismatch(.nodes, field: "first", found: 0xFD, expected: 2)),
    ("count", 12, .answerMismatch(.nodes, field: "count", found: 0xFC, expected: 3)),
  ]

  @Test("an answer to another request is refused, field by field", arguments: changes.indices)
  func mismatch(index: Int) throws {
    let (name, offset, error) = Self.changes[index]
    var bytes = try TreeAnswer.encode(
      nodes: Array(repeating: Fixture.hash, count: 3), answering: Self.request)
    #expect(try nodes(bytes) == Array(repeating: Fixture.hash, count: 3))
    bytes[offset] ^= 0xFF
    #expect(throws: error, "\(name)") { try nodes(bytes) }
  }

  @Test("an answer cut at every byte, or with bytes after its last hash, is refused")
  func wrongLength() throws {
    let bytes = try TreeAnswer.encode(
      nodes: Array(repeating: Fixture.hash, count: 3), answering: Self.request)
    for cut in 0..<bytes.count {
      #expect(throws: ProtocolError.self, "\(cut)") { try nodes(Array(bytes[..<cut])) }
    }
    #expect(throws: ProtocolError.answerMismatch(.nodes, field: "body", found: 97, expected: 96)) {
      try nodes(bytes + [0])
    }
  }

  @Test("leaves come back as exactly their bytes")
  func leaves() throws {
    let request = LeavesRequest(disk: 0, first: 0, count: 2)
    let body = (0..<8192).map { UInt8(truncatingIfNeeded: $0) }
    let payload = TreeAnswer(answering: request).encodeHeader() + body
    let read = try raw(payload) { (b) throws(ProtocolError) in
      Array(try TreeAnswer.decodeLeaves(b, answering: request))
    }
    #expect(read == body)
    for wrong in [Array(payload.dropLast()), payload + [0]] {
      #expect(throws: ProtocolError.self) {
        try raw(wrong) { (b) throws(ProtocolError) in
          try TreeAnswer.decodeLeaves(b, answering: request).count
        }
      }
    }
  }

  @Test("the largest answers fit exactly into the limit of their frames")
  func largestAnswers() throws {
    let limit = ProtocolLimits.standard.payloadLengths(of: .nodes).upperBound
    let nodes = TreeAnswer(answering: NodesRequest(disk: 0, level: 1, first: 0, count: 8192))
    let leaves = TreeAnswer(answering: LeavesRequest(disk: 0, first: 0, count: 64))
    #expect(nodes.bodyByteCount + TreeAnswer.headerByteCount == limit)
    #expect(leaves.bodyByteCount + TreeAnswer.headerByteCount == limit)
  }

  @Test("an answer with another number of nodes than asked for is not sent")
  func encodingChecks() {
    #expect(throws: ProtocolError.answerMismatch(.nodes, field: "count", found: 1, expected: 3)) {
      try TreeAnswer.encode(nodes: [Fixture.hash], answering: Self.request)
    }
  }

  @Test("every level of a tree has the right number of nodes, and there is none above the top")
  func levels() throws {
    let largest = try #require(PageGrid(sizeBytes: PageGrid.maximumSizeBytes, pageSizeBytes: 4096))
    let counts = (1...6).map { TreeLevels.nodeCount(level: $0, grid: largest) }
    #expect(counts == [1 << 26, 1 << 18, 1 << 10, 4, 1, nil])
    #expect(TreeLevels.nodeCount(level: 0, grid: largest) == nil)
    let small = try #require(PageGrid(sizeBytes: 257 * 4096, pageSizeBytes: 4096))
    #expect((1...3).map { TreeLevels.nodeCount(level: $0, grid: small) } == [2, 1, nil])
    let last = NodesRequest(disk: 0, level: 1, first: (1 << 26) - 8192, count: 8192)
    #expect(throws: Never.self) { try last.validate(disks: [largest]) }
    #expect(throws: ProtocolError.self) {
      try NodesRequest(disk: 0, level: 1, first: (1 << 26) - 8191, count: 8192).validate(disks: [
        largest
      ])
    }
  }

  @Test("a file is its kind and its bytes; other kinds and lengths are refused")
  func files() throws {
    let decoded = try raw([2, 9, 8]) { (b) throws(ProtocolError) in
      let (kind, contents) = try FileMessage.decode(b)
      return (kind, Array(contents))
    }
    #expect(decoded == (.nvram, [9, 8]))
    for kind: UInt8 in [0, 3, 255] {
      #expect(
        throws: ProtocolError.value(
          .file, field: "kind", found: "\(kind)", expected: "1 (vmx) or 2 (nvram)")
      ) {
        try raw([kind, 1]) { (b) throws(ProtocolError) in try FileMessage.decode(b).contents.count }
      }
    }
    for length in [0, (1 << 20) + 2] {
      #expect(
        throws: ProtocolError.payloadLength(.file, found: length, allowed: 1...((1 << 20) + 1))
      ) {
        try raw([UInt8](repeating: 1, count: length)) { (b) throws(ProtocolError) in
          try FileMessage.decode(b).contents.count
        }
      }
    }
  }
}
