import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplVMDK

/// An extent that a test lays out piece by piece, and that counts what is asked of it.
private final class LaidOutExtent: LinkExtent {
  let sizeBytes: Int64
  private let pieces: [(start: Int64, kind: LinkPiece.Kind)]
  private let fill: UInt8
  /// A piece is answered no further than this many bytes, as one table reaches no further.
  private let tableBytes: Int64
  let pieceCalls = Atomic<Int>(0)
  let nextCalls = Atomic<Int>(0)
  let bytesRead = Atomic<Int>(0)
  let wrongReads = Atomic<Int>(0)

  init(
    _ pieces: [(length: Int64, kind: LinkPiece.Kind)], fill: UInt8, tableBytes: Int64 = .max
  ) {
    var position: Int64 = 0
    self.pieces = pieces.map { piece in
      defer { position += piece.length }
      return (position, piece.kind)
    }
    sizeBytes = position
    self.fill = fill
    self.tableBytes = tableBytes
  }

  private func find(_ offset: Int64) -> (kind: LinkPiece.Kind, end: Int64) {
    let index = pieces.lastIndex { $0.start <= offset }!
    return (pieces[index].kind, index + 1 < pieces.count ? pieces[index + 1].start : sizeBytes)
  }

  func kind(at offset: Int64) -> LinkPiece.Kind { find(offset).kind }

  func piece(at offset: Int64) -> LinkPiece {
    pieceCalls.add(1, ordering: .relaxed)
    let found = find(offset)
    return LinkPiece(kind: found.kind, length: min(found.end - offset, tableBytes - offset % tableBytes))
  }

  func nextPresent(atOrAfter offset: Int64) -> Int64? {
    nextCalls.add(1, ordering: .relaxed)
    return pieces.indices.first { index in
      let end = index + 1 < pieces.count ? pieces[index + 1].start : sizeBytes
      return pieces[index].kind != .absent && end > offset
    }.map { max(offset, pieces[$0].start) }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) {
    let found = find(offset)
    bytesRead.add(buffer.count, ordering: .relaxed)
    if found.kind != .data || offset + Int64(buffer.count) > found.end {
      wrongReads.add(1, ordering: .relaxed)
    }
    for index in buffer.indices { buffer[index] = fill }
  }
}

@Suite("chains as one address space") struct DiskChainTests {
  private struct Model {
    let chain: DiskChain
    let links: [[LaidOutExtent]]
    let expected: [UInt8]
    /// Per byte: some link holds data for it.
    let isData: [Bool]
  }

  private func model(_ random: inout SeededGenerator) -> Model {
    let size = Int.random(in: 1...4000, using: &random)
    var links: [[LaidOutExtent]] = []
    for link in 0..<Int.random(in: 1...4, using: &random) {
      var cuts = (0..<Int.random(in: 0...3, using: &random)).map { _ in
        Int.random(in: 1...size, using: &random)
      }
      cuts = Array(Set(cuts).subtracting([size])).sorted()
      let sizes = zip([0] + cuts, cuts + [size]).map { $1 - $0 }
      links.append(
        sizes.enumerated().map { index, bytes in
          let pieces = layout(bytes, &random)
          return LaidOutExtent(pieces, fill: UInt8(1 + link * 10 + index), tableBytes: 64)
        })
    }
    var expected: [UInt8] = []
    var isData: [Bool] = []
    for position in 0..<size {
      let found = first(Int64(position), links)
      expected.append(found ?? 0)
      isData.append(found != nil)
    }
    return Model(
      chain: DiskChain(links.map { DiskLink($0) }), links: links, expected: expected, isData: isData)
  }

  private func layout(
    _ bytes: Int, _ random: inout SeededGenerator
  ) -> [(length: Int64, kind: LinkPiece.Kind)] {
    var left = bytes
    var pieces: [(length: Int64, kind: LinkPiece.Kind)] = []
    while left > 0 {
      let length = min(left, Int.random(in: 1...500, using: &random))
      pieces.append((Int64(length), [.data, .zero, .absent, .absent].randomElement(using: &random)!))
      left -= length
    }
    return pieces
  }

  /// The byte that the youngest link with an opinion has; nil for zeros.
  private func first(_ position: Int64, _ links: [[LaidOutExtent]]) -> UInt8? {
    for extents in links {
      var start: Int64 = 0
      for extent in extents {
        defer { start += extent.sizeBytes }
        guard position >= start, position < start + extent.sizeBytes else { continue }
        switch extent.kind(at: position - start) {
        case .zero: return nil
        case .absent: continue
        case .data:
          var byte: [UInt8] = [0]
          byte.withUnsafeMutableBytes { extent.read(into: $0, at: position - start) }
          return byte[0]
        }
      }
    }
    return nil
  }

  @Test("any layout of links and extents reads as the youngest says", arguments: 1...60)
  func reading(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let model = model(&random)
    for _ in 0..<40 {
      let start = Int.random(in: 0..<model.expected.count, using: &random)
      let end = Int.random(in: start...model.expected.count, using: &random)
      var buffer = [UInt8](repeating: 0xEE, count: end - start)
      try buffer.withUnsafeMutableBytes { try model.chain.read(into: $0, at: Int64(start)) }
      #expect(buffer == Array(model.expected[start..<end]), "seed \(seed), \(start)..<\(end)")
    }
    #expect(model.links.joined().allSatisfy { $0.wrongReads.load(ordering: .relaxed) == 0 }, "seed \(seed)")
  }

  @Test(
    "the allocated ranges are exactly the bytes that some link holds, and reading them reads no others",
    arguments: 1...60)
  func ranges(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed &+ 1000)
    let model = model(&random)
    var covered = [Bool](repeating: false, count: model.expected.count)
    var position: Int64 = 0
    let before = model.links.joined().reduce(0) { $0 + $1.bytesRead.load(ordering: .relaxed) }
    while let range = try model.chain.allocatedRange(atOrAfter: position) {
      try #require(range.offset >= position && range.length > 0, "seed \(seed)")
      for index in Int(range.offset)..<Int(range.end) { covered[index] = true }
      var buffer = [UInt8](repeating: 0, count: Int(range.length))
      try buffer.withUnsafeMutableBytes { try model.chain.read(into: $0, at: range.offset) }
      position = range.end
    }
    #expect(covered == model.isData, "seed \(seed)")
    let after = model.links.joined().reduce(0) { $0 + $1.bytesRead.load(ordering: .relaxed) }
    #expect(after - before == model.isData.count { $0 }, "seed \(seed)")
    #expect(model.links.joined().allSatisfy { $0.wrongReads.load(ordering: .relaxed) == 0 }, "seed \(seed)")
    // Asked anywhere, the answer is the same.
    for _ in 0..<20 {
      let offset = Int.random(in: 0..<model.isData.count, using: &random)
      let next = model.isData[offset...].firstIndex(of: true)
      #expect(try model.chain.allocatedRange(atOrAfter: Int64(offset))?.offset == next.map(Int64.init))
    }
  }

  @Test("under empty deltas of 62 TiB a base is walked in steps of its own, not of the deltas' tables")
  func emptyDeltas() throws {
    let size: Int64 = 62 << 40
    var layout: [(length: Int64, kind: LinkPiece.Kind)] = []
    for _ in 0..<500 { layout += [(size / 500 - 65_536, .zero), (65_536, .data)] }
    layout.append((size - layout.reduce(0) { $0 + $1.length }, .zero))
    let base = LaidOutExtent(layout.filter { $0.length > 0 }, fill: 9)
    let deltas = (0..<3).map { _ in LaidOutExtent([(size, .absent)], fill: 1, tableBytes: 16 << 20) }
    let chain = DiskChain((deltas + [base]).map { DiskLink([$0]) })
    var found = 0
    var position: Int64 = 0
    while let range = try chain.allocatedRange(atOrAfter: position) {
      found += 1
      position = range.end
    }
    #expect(found == 500)
    for delta in deltas {
      #expect(delta.pieceCalls.load(ordering: .relaxed) == 1 && delta.nextCalls.load(ordering: .relaxed) == 1)
    }
    #expect(base.pieceCalls.load(ordering: .relaxed) <= 2002)
  }

  @Test("a long allocated stretch comes in ranges of limited length")
  func longStretch() throws {
    let extent = LaidOutExtent([(5 << 30, .data)], fill: 1)
    let chain = DiskChain([DiskLink([extent])])
    let range = try #require(try chain.allocatedRange(atOrAfter: 7))
    #expect(range == ByteRange(offset: 7, length: Limits.allocatedRangeBytes))
    #expect(try chain.allocatedRange(atOrAfter: 5 << 30) == nil)
    #expect(try chain.allocatedRange(atOrAfter: -5)?.offset == 0)
  }

  @Test("allocated bytes are counted without reading any")
  func counted() throws {
    let extent = LaidOutExtent(
      [(100, .data), (50, .zero), (30, .absent), (20, .data)], fill: 1, tableBytes: 7)
    #expect(try extent.allocatedBytes() == 120 && extent.bytesRead.load(ordering: .relaxed) == 0)
  }
}
