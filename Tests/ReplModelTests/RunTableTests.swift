import ReplModel
import Testing

@Suite struct RunTableTests {
  private func decode(
    _ bytes: [UInt8], _ count: Int, limit: Int64 = 1 << 34
  ) throws(RunTableError) -> [PageRun] {
    var result: Result<[PageRun], RunTableError>?
    bytes.withUnsafeBytes { buffer in
      do throws(RunTableError) {
        result = .success(try RunTable.decode(buffer, runCount: count, pageLimit: limit))
      } catch { result = .failure(error) }
    }
    return try result!.get()
  }

  @Test("a worked example: three runs in eight bytes")
  func golden() throws {
    let runs = [
      PageRun(kind: .data, firstPage: 2, pageCount: 1), PageRun(kind: .zero, firstPage: 3, pageCount: 256),
      PageRun(kind: .data, firstPage: 1000, pageCount: 3),
    ]
    let bytes: [UInt8] = [
      0x02, 0x02,  // gap 2, one data page
      0x00, 0x81, 0x04,  // gap 0, 256 zero pages: 513 = 0x81 0x04
      0xE5, 0x05,  // gap 741
      0x06,  // three data pages
    ]
    #expect(RunTable.encode(runs) == bytes)
    #expect(try decode(bytes, 3) == runs)
  }

  @Test("tables that lie are refused")
  func hostile() {
    #expect(throws: RunTableError.truncated) { try decode([0x02], 1) }
    #expect(throws: RunTableError.truncated) { try decode([0x02, 0x02], 1_000_000_000) }
    #expect(throws: RunTableError.emptyRun) { try decode([0x02, 0x00], 1) }
    #expect(throws: RunTableError.trailingBytes) { try decode([0x02, 0x02, 0x00], 1) }
    #expect(throws: RunTableError.outOfRange) { try decode([0x02, 0x02], 1, limit: 2) }
    let huge = [UInt8](repeating: 0xFF, count: 8) + [0x7F]
    #expect(throws: RunTableError.outOfRange) { try decode(huge + huge, 1) }
    #expect(throws: RunTableError.outOfRange) { try decode([UInt8](repeating: 0xFF, count: 40), 1) }
  }

  @Test("random tables come back as they were", arguments: [1, 2, 3, 4, 5] as [UInt64])
  func roundTrip(seed: UInt64) throws {
    var state = seed
    func next(_ bound: UInt64) -> Int64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int64((state >> 33) % bound)
    }
    var runs: [PageRun] = []
    var position: Int64 = 0
    for _ in 0..<500 {
      position += next(seed * 1000)
      let run = PageRun(kind: next(2) == 0 ? .data : .zero, firstPage: position, pageCount: 1 + next(70_000))
      runs.append(run)
      position = run.pages.upperBound
    }
    #expect(try decode(RunTable.encode(runs), 500) == runs, "seed \(seed)")
  }
}
