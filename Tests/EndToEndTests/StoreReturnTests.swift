import Foundation
import Glibc
import Testing

/// Stores that come late, go away and come back; devices that somebody else has.
extension EndToEnd {
  @Suite(.needs("qemu-img", "losetup", "mkfs.ext4"), .needsLoopMounts, .timeLimit(.minutes(3)))
  struct StoreReturnTests {
    private func entries(_ path: String) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: path)
    }

    @Test(
      "a store that comes late, goes away and comes back needs no restart; its mount point stays empty"
    )
    func unmounted() throws {
      let storage = try StorageLab(.ext4, seed: 1)
      let (lab, mounted) = (storage.lab, storage.mounted)
      try storage.fill(0, pages: 0..<64)
      mounted.unmount()
      try lab.startReceiver()
      #expect(try storage.refusedPass().contains("no store"))
      #expect(try entries(mounted.path).isEmpty)
      try mounted.mountAgain()
      try lab.pass()
      try storage.expectSame("after the store came")
      #expect(lab.receiver?.errors.contains("store-opened") == true)

      mounted.unmount()
      try storage.scribble(0, pages: 20)
      #expect(try storage.refusedPass().contains("no store"))
      #expect(try entries(mounted.path).isEmpty)
      try Tool.must(["mount", "-t", "tmpfs", "vmrepl", mounted.path])
      try Tool.must([
        Tool.receiver, "init", "--state-dir", "\(lab.folder)/receiver-state", "--store", mounted.path,
      ])
      #expect(try storage.refusedPass().contains("was here before"))
      #expect(try entries(mounted.path) == [".repl-store"])
      try lab.stopReceiver()
      let check = try Tool.run([Tool.receiver, "status", "--config", lab.receiverConfig])
      #expect(check.status != 0 && check.errors.contains("storage forget main"), "\(check.errors)")
      mounted.unmount()
      try mounted.mountAgain()
      try lab.startReceiver()
      try lab.pass()
      try storage.expectSame("after the store came back")
    }

    @Test("a device that is mounted is neither claimed nor written")
    func mountedDevice() throws {
      let storage = try StorageLab(.device512, seed: 2)
      let lab = storage.lab
      try Tool.must(["mkfs.ext4", "-q", storage.devices[0]])
      let folder = "\(lab.folder)/used"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try Tool.must(["mount", storage.devices[0], folder])
      defer { umount2(folder, Int32(MNT_DETACH)) }
      let claim = try Tool.run([
        Tool.receiver, "storage", "claim", storage.devices[0], "--vm", "web01", "--disk", "scsi0:0", "--yes",
        "--config", lab.receiverConfig,
      ])
      #expect(claim.status == 74 && claim.errors.contains("it is mounted"), "\(claim.errors)")
      try lab.startReceiver()
      #expect(try storage.refusedPass().contains("it is mounted"))
      try Tool.must(["umount", folder])
      // Its claim from before the filesystem was made still stands.
      try lab.pass()
      try storage.expectSame("free again")
    }
  }
}
