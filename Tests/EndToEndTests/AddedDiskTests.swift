import Foundation
import ReplModel
import ReplTestKit
import Testing

/// A disk is added to a VM that has recovery points already, with the real executables.
extension EndToEnd {
  @Suite(.needs("qemu-img", "qemu-io")) struct AddedDiskTests {
    private static let slots = [DiskSlot("scsi0:0"), DiskSlot("scsi0:1")]
    private static let addedBytes = 12 << 20

    /// A VM with one disk and one point, to which a second, larger disk was added since.
    private func makeLab(sender: String = "") throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 64k 3M"])
      try lab.configure(sender: sender)
      try lab.startReceiver()
      try lab.pass()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: Self.addedBytes)
      try lab.writeVMX()
      var random = SeededRandom(seed: 11)
      try added(lab).write(pages: Array(0..<Self.addedBytes / 4096)) { _ in
        (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
      }
      return lab
    }

    private func added(_ lab: Lab) -> FlatDisk { FlatDisk(path: "\(lab.sourceFolder)/web01_1-flat.vmdk") }

    private func state(of slot: Int, _ status: VMStatus) -> VMStatus.Disk? {
      status.disks?.first { $0.slot == Self.slots[slot] }
    }

    private func receiverStatus(_ lab: Lab) throws -> VMStatus {
      try Lab.decodeStatus(Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig]))
    }

    @Test(
      "the first disk's point does not wait for an added one, which seeds after the pass and joins the next")
    func joins() throws {
      let lab = try makeLab()
      try lab.change(disk: 0, ["write -P 0x42 1M 64k"])
      let second = try lab.pass()
      #expect(second.newestPoint?.reference.number == 2)
      #expect(second.lastPass.map { $0.wireBytes < 4 << 20 } == true, "the pass carried the added disk")
      #expect(state(of: 0, second)?.state == .ready)
      #expect(state(of: 1, second)?.state == .seeding)
      #expect(state(of: 1, second)?.seededBytes == Int64(Self.addedBytes))
      #expect(try state(of: 1, receiverStatus(lab))?.state == .seeding)
      let folder = try lab.standbyFolder
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/scsi0-1.vmdk"), "no point holds it yet")

      try lab.change(disk: 0, ["write -P 0x43 2M 64k"])
      try lab.change(disk: 1, ["write -P 0x44 5M 64k"])
      let third = try lab.pass()
      #expect(third.newestPoint?.reference.number == 3)
      #expect(third.lastPass.map { $0.changedBytes <= 128 << 10 } == true, "only what changed since")
      #expect(state(of: 1, third)?.state == .ready)
      try lab.expectIdentical("with both disks")
    }

    @Test("the receiver and the sender may be killed while the disk seeds: passes go on, and it joins")
    func killed() throws {
      let lab = try makeLab()
      for victim in 0..<4 {
        let pass = try lab.startPass()
        usleep(useconds_t(60_000 + victim * 90_000))
        if victim % 2 == 0 { pass.signal(SIGKILL) } else { try lab.stopReceiver(SIGKILL) }
        // However it ends: it was disturbed.
        _ = try? pass.finish(seconds: 60)
        if victim % 2 == 1 { try lab.startReceiver() }
        try lab.change(disk: 0, ["write -P \(0x50 + victim) 1M 64k"])
      }
      var status = try lab.pass()
      for _ in 0..<3 where state(of: 1, status)?.state != .ready { status = try lab.pass() }
      #expect(state(of: 1, status)?.state == .ready)
      try lab.expectIdentical("after all")
    }

    @Test("a failover while the disk seeds starts the VM without it, and the stub says so")
    func failover() throws {
      let lab = try makeLab()
      try lab.pass()
      let done = try Tool.run([Tool.receiver, "failover", "--config", lab.receiverConfig, "web01", "--yes"])
      #expect(done.status == 0, "\(done.errors)")
      #expect(done.output.contains("recovery point 1.2"))
      let stub = try String(contentsOfFile: "\(lab.standbyFolder)/web01.vmx", encoding: .utf8)
      let lines = stub.split(separator: "\n").map(String.init)
      #expect(lines.contains { $0.hasPrefix("scsi0:0.fileName") })
      #expect(!lines.contains { $0.hasPrefix("scsi0:1.fileName") }, "a disk of no point must not be attached")
      let annotation = try #require(lines.first { $0.hasPrefix("annotation") })
      #expect(annotation.contains("Not in this copy") && annotation.contains("scsi0:1"), "\(annotation)")
    }
  }
}
