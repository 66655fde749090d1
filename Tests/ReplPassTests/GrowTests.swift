import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// Disks that grow between passes, over the whole of both sides.
@Suite(.serialized) struct GrowTests {
  @Test("only what changed travels when a disk grew, and neither side asks the other for its map")
  func onlyChanges() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(GrowingDisks.versions[0])
    let overlays = Mutex<[String]>([])
    pair.sender.watch { moment in
      if moment.path.hasSuffix(".held") { overlays.withLock { $0.append(moment.path) } }
    }
    // The last page that changed is short each time; growth inside a page changes no page by itself.
    for (number, bytes) in [(1, 5 * 4096 + 512), (2, 2 * 4096 + 2048)] {
      let report = try pair.pass(GrowingDisks.versions[number])
      #expect(report.isSettled)
      #expect(report.pass.changedBytes == Int64(bytes), "version \(number)")
      #expect(try #require(try pair.standby()).images == GrowingDisks.versions[number])
    }
    #expect(overlays.withLock { $0 }.isEmpty, "the maps were compared page by page")
  }

  @Test("a disk that shrank stops the VM, says both sizes, and leaves the standby as it was")
  func shrunk() throws {
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(GrowingDisks.versions[1])
    do {
      _ = try pair.pass(GrowingDisks.versions[0])
      Issue.record("a shrunk disk was taken")
    } catch {
      let error = try #require(error as? PassError)
      #expect(error.remedy == .stopVM)
      #expect("\(error)".contains("scsi0:0 shrank from 1229312 to 308736 bytes"), "\(error)")
    }
    #expect(try #require(try pair.standby()).images == GrowingDisks.versions[1])
  }
}
