import Foundation
import Testing

/// What a failover does not take by itself (FAULTS.md 76); a fuzzy point is in the tests of disks' lives.
extension EndToEnd {
  @Suite(.needs("qemu-img")) struct PromotionRefusalTests {
    @Test(
      "a standby that somebody else wrote is not failed over: since when, which disk and what to do is said")
    func diverged() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      let path = "\(try lab.standbyFolder)/scsi0-0-flat.vmdk"
      let file = try #require(FileHandle(forUpdatingAtPath: path))
      try file.seek(toOffset: 8192)
      file.write(Data(repeating: 0x66, count: 4096))
      try file.close()
      let foreign = try Data(contentsOf: URL(fileURLWithPath: path))
      try lab.change(disk: 0, ["write -P 0x42 8k 4k"])
      // Found before the page is overwritten, at the latest when the standby is opened again.
      for _ in 0..<2 { _ = try lab.startPass().finish(seconds: 60) }
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == foreign, "nothing is overwritten")
      for arguments in [["web01", "--yes"], ["web01", "--yes", "--accept-fuzzy"]] {
        let refused = try Tool.run(
          [Tool.receiver, "failover", "--config", lab.receiverConfig] + arguments, seconds: 60)
        #expect(refused.status != 0, "\(refused.output)")
        let said = refused.errors + refused.output
        for text in ["web01", "scsi0-0", "not to be what replication wrote"] {
          #expect(said.contains(text), "\(said)")
        }
      }
      let status = try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig])
      let shown = try Lab.decodeStatus(status)
      #expect(shown.state == .diverged, "\(shown)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == foreign)
    }
  }
}
