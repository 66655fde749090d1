import Foundation
import Glibc
import ReplTestKit
import Testing

/// What a standby does is the same on every kind of storage.
extension EndToEnd {
  @Suite(
    .needs(
      "qemu-img", "losetup", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.exfat", "mount.exfat-fuse",
      "mkfs.ntfs",
      "mount.ntfs-3g", "bindfs"), .needsLoopMounts, .timeLimit(.minutes(5)))
  struct StorageConformanceTests {
    private static let kills = 4

    @Test(
      "first copy, changes, zeros, growth, kills and a full store: every byte is right on",
      arguments: StorageTarget.allCases)
    func conformance(_ target: StorageTarget) throws {
      let seed =
        ProcessInfo.processInfo.environment["VMREPL_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0...UInt64.max)
      print("storage seed: \(seed) (set VMREPL_SEED to run it again)")
      let storage = try StorageLab(target, seed: seed)
      let lab = storage.lab
      try checkProbe(storage)
      try lab.startReceiver()
      try copies(storage)
      try survivesKills(storage)
      try grows(storage)
      try survivesFullStore(storage)
      try lab.stopReceiver()
      let failover = try Tool.run([
        Tool.receiver, "failover", "web01", "--yes", "--config", lab.receiverConfig,
      ])
      #expect(failover.status == 0, "\(failover.errors)")
      try storage.expectSame("failed over")
      #expect(FileManager.default.fileExists(atPath: "\(try lab.standbyFolder)/web01.vmx"))
    }

    private func checkProbe(_ storage: StorageLab) throws {
      let command = [Tool.receiver, "storage", "check", "--config", storage.lab.receiverConfig]
      let found = try Tool.run(command)
      #expect(found.status == 0 && found.output.contains("  usable\n"), "\(found.output) \(found.errors)")
      let isThick = storage.mounted.target == .exfat
      #expect(found.output.contains(isThick ? "sparse files   no" : "sparse files   yes"), "\(found.output)")
      let punches = ![.exfat, .ntfs, .nfsLike].contains(storage.mounted.target)
      #expect(found.output.contains(punches ? "punched holes  yes" : "punched holes  no"), "\(found.output)")
      let names = try FileManager.default.contentsOfDirectory(atPath: storage.mounted.path)
      #expect(!names.contains { $0.hasPrefix(".repl-probe") }, "\(names)")
    }

    private func copies(_ storage: StorageLab) throws {
      try storage.fill(0, pages: 512..<2048)
      try storage.fill(1, pages: 0..<64)
      try storage.lab.pass()
      try storage.expectSame("after the first copy")
      try storage.scribble(0, pages: 200)
      try storage.scribble(1, pages: 20)
      try storage.lab.pass()
      try storage.expectSame("after changes")
      try storage.clear(0, pages: 600..<1800)
      try storage.clear(1, pages: 1023..<1024)
      try storage.lab.pass()
      try storage.expectSame("after zeros")
    }

    private func survivesKills(_ storage: StorageLab) throws {
      let lab = storage.lab
      for number in 0..<Self.kills {
        try storage.scribble(0, pages: 700)
        let before = try storage.source(0).copy()
        let pass = try lab.startPass()
        usleep(UInt32(storage.random.next() % 300_000))
        try lab.stopReceiver(SIGKILL)
        pass.signal(SIGKILL)
        try pass.finish(seconds: 10)
        try lab.startReceiver()
        try eventually("recovery") { lab.receiver?.errors.contains("recovered") == true }
        try lab.pass()
        #expect(try storage.source(0).contents() == before)
        try storage.expectSame("after kill \(number)")
      }
    }

    private func grows(_ storage: StorageLab) throws {
      try storage.grow()
      try storage.lab.pass()
      try storage.expectSame("grown")
      try storage.scribble(0, pages: 100, upTo: StorageLab.grownMiB)
      try storage.lab.pass()
      try storage.expectSame("changed after it grew")
    }

    /// A pass that finds no space changes nothing, and goes on by itself when there is some.
    private func survivesFullStore(_ storage: StorageLab) throws {
      let lab = storage.lab
      let held = try storage.source(0).copy()
      try storage.fillStore(leftMiB: 6)
      try storage.fill(0, pages: 2000..<5000)
      let changed = try storage.source(0).copy()
      let text = try storage.refusedPass()
      #expect(text.contains("bytes"), "\(text)")
      #expect(lab.receiver?.process.isRunning == true)
      // The standby is as it was.
      try held.write(to: URL(fileURLWithPath: storage.source(0).path))
      try storage.expectSame("while the store is full")
      try changed.write(to: URL(fileURLWithPath: storage.source(0).path))
      try storage.emptyStore()
      try lab.pass()
      try storage.expectSame("when there is space again")
    }
  }
}
