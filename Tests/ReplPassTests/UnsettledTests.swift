import ReplIO
import ReplModel
import ReplStandby
import Testing

@testable import ReplPass

/// Points that are committed and do not come into the disks.
@Suite(.serialized) struct UnsettledTests {
  @Test("a point over a disk that somebody else wrote is told as one that will never be in it")
  func diverged() throws {
    let pair = try Pair()
    defer { pair.end() }
    func content(_ byte: UInt8) -> [[UInt8]] {
      Pair.disks.map { _ in [UInt8](repeating: byte, count: 64 << 10) }
    }
    #expect(try !pair.pass(content(1)).isDiverged)
    let summary = try #require(try pair.store().standbys().first)
    let file = try #require(summary.catalog?.disks.first).flatFileName
    let disk = try pair.receiver.disk("store").openDirectory(summary.directory).openFile(file, .readWrite)
    let foreign = [UInt8](repeating: 0x66, count: 4096)
    try foreign.withUnsafeBytes { try disk.write($0, at: 4096) }
    try disk.sync()
    let report = try pair.pass(content(2))
    #expect(!report.isSettled && report.isDiverged, "\(String(describing: report.settleFailure))")
  }
}
