import Foundation
import Glibc
import ReplTestKit
import Testing

/// Every kind of disk that a Linux machine can make, and chains that change between passes.
extension EndToEnd {
  @Suite(.needs("qemu-img", "qemu-io", "mkfs.ext4", "python3"), .timeLimit(.minutes(3)))
  struct DiskKindTests {
    @Test(
      "a disk of every kind that qemu-img writes is copied, and then only its changes",
      arguments: [
        "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized",
      ])
    func kind(subformat: String) throws {
      let lab = try Lab()
      let raw = lab.folder + "/fs.raw"
      try RealFilesystem.make(at: raw, sizeMiB: 96, from: ["/usr/share/perl5"])
      try lab.addDisk(subformat: subformat, sizeBytes: 0, from: raw)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try lab.expectIdentical(subformat)
      if subformat == "streamOptimized" {
        // Such a disk is never written to; it is made anew.
        try Tool.must(["qemu-io", "-f", "raw", "-c", "write -P 0x77 40M 128k", raw])
        try FileManager.default.removeItem(atPath: "\(lab.sourceFolder)/web01.vmdk")
        lab.diskNames = []
        try lab.addDisk(subformat: subformat, sizeBytes: 0, from: raw)
      } else {
        try lab.change(disk: 0, ["write -P 0x77 40M 128k"])
      }
      let changed = try #require(try lab.pass().lastPass).changedBytes
      #expect(changed > 0 && changed <= 128 << 10, "\(subformat)")
      try lab.expectIdentical(subformat)
    }

    @Test("a snapshot taken and consolidated between passes: the sender follows and sends only what changed")
    func snapshotBetweenPasses() throws {
      let lab = try Lab()
      let raw = lab.folder + "/fs.raw"
      try RealFilesystem.make(at: raw, sizeMiB: 64, from: ["/usr/share/perl5"])
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 0, from: raw)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      let host = try VMHost(lab)

      try host.snapshot("create", named: "before the upgrade")
      lab.diskNames[0] = "web01-000001.vmdk"
      #expect(try lab.pass().lastPass?.changedBytes == 0, "a delta with nothing in it")
      try lab.expectIdentical("after the snapshot")

      try lab.change(disk: 0, ["write -P 0x51 20M 64k", "write -z 24M 64k"])
      let changed = try #require(try lab.pass().lastPass)
      #expect(changed.changedBytes > 0 && changed.changedBytes <= 128 << 10)
      try lab.expectIdentical("with the delta")
      let stub = try String(contentsOfFile: "\(try lab.standbyFolder)/web01.vmx", encoding: .utf8)
      #expect(!stub.contains("-000001"))

      try host.snapshot("remove", named: "before the upgrade")
      lab.diskNames[0] = "web01.vmdk"
      #expect(try lab.pass().lastPass?.changedBytes == 0, "the same content without the delta")
      try lab.expectIdentical("after the consolidation")
      let status = try lab.pass()
      #expect(status.newestPoint?.reference.number == 5, "one history")
    }

    @Test("a chain whose base was written behind the delta's back is refused, naming both content IDs")
    func brokenChain() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      let host = try VMHost(lab)
      try host.snapshot("create", named: "one")
      // QEMU gives the base a new content ID with its first write.
      try lab.change(disk: 0, ["write -P 0x51 1M 64k"])
      let refused = try lab.startPass().finish(seconds: 60)
      #expect(refused.status != 0 && refused.errors.contains("parentCID"), "\(refused.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder) == [".repl-store"])
    }
  }
}
