import ReplIO
import ReplModel
import ReplProtocol
import Testing

@testable import ReplPass

/// Pages as a peer claims them.
@Suite struct ReceivedCountTests {
  @Test(
    "zero runs over whole disks, again and again, are refused before any sum overflows", arguments: [12, 16])
  func zeros(_ pageBits: Int) throws {
    let grid = try #require(PageGrid(sizeBytes: 64 << 40, pageSizeBytes: 1 << pageBits))
    let whole = PageRun(kind: .zero, firstPage: 0, pageCount: grid.pageCount)
    let bytes = try BatchMessage.encodePrefix(
      diskIndex: 0, grid: grid, codec: .raw, runs: [whole], digest: .zero, payloadLength: 0)
    let batch = try bytes.withUnsafeBytes { try BatchMessage.decode($0, disks: [grid], codecs: [.raw]) }
    var received = TargetPass.Received(
      dataPages: [0], zeroPages: [0], damagedDataPages: [0], damagedZeroPages: [0], lastAckNanoseconds: 0,
      busy: BusyTime(time: SystemTime()))
    var failure: PassError?
    do throws(PassError) {
      for _ in 0...(1 << 18) { _ = try received.count(batch, grid: grid) }
    } catch { failure = error }
    guard case .refused(.limit, _, _) = failure else {
      Issue.record("\(failure.map { "\($0)" } ?? "never refused")")
      return
    }
    #expect(received.batches == received.zeroPages[0] / grid.pageCount && received.batches > 1000)
    #expect(received.changedBytes == received.zeroPages[0] * Int64(grid.pageSizeBytes))
  }
}
