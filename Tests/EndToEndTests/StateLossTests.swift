import Foundation
import Glibc
import ReplModel
import Testing

/// A receiver that lost or got back its state after a failover (FAULTS.md 73, 74): the fence holds.
extension EndToEnd {
  @Suite(.needs("qemu-img")) struct StateLossTests {
    /// What of the state directory is more than an identity.
    private static let memory = ["maps", "keys", "status", "receiver-id", "pid"]

    private struct Promoted {
      let lab: Lab
      let disk: String
      let content: Data
      var catalog: String { (disk as NSString).deletingLastPathComponent + "/.repl/catalog" }
    }

    /// A VM that was failed over, with copies of state and catalog from before; the source has changed since.
    private func promote() throws -> Promoted {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try lab.stopReceiver()
      let standby = try lab.standbyFolder
      try FileManager.default.copyItem(
        atPath: "\(lab.folder)/receiver-state", toPath: "\(lab.folder)/state-before")
      try FileManager.default.copyItem(
        atPath: "\(standby)/.repl/catalog", toPath: "\(lab.folder)/catalog-before")
      try Tool.must([Tool.receiver, "failover", "--config", lab.receiverConfig, "web01", "--yes"])
      try lab.change(disk: 0, ["write -P 0x43 2M 64k"])
      let disk = "\(standby)/scsi0-0-flat.vmdk"
      return Promoted(lab: lab, disk: disk, content: try Data(contentsOf: URL(fileURLWithPath: disk)))
    }

    /// Two passes, with a restart of the receiver between: refused, not one byte of the promoted disk
    /// changes, and no other standby of the VM comes about.
    private func expectNoWrite(_ promoted: Promoted, status: Int32, says: [String]) throws {
      let lab = promoted.lab
      for _ in 0..<2 {
        try lab.startReceiver()
        let result = try lab.startPass().finish(seconds: 60)
        #expect(result.status == status, "\(result.status): \(result.errors)")
        for text in says { #expect(result.errors.contains(text), "\(text): \(result.errors)") }
        try lab.stopReceiver()
      }
      #expect(try Data(contentsOf: URL(fileURLWithPath: promoted.disk)) == promoted.content)
      let folders = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
      #expect(folders.filter { !$0.hasPrefix(".") }.count == 1, "\(folders)")
    }

    @Test(
      "a state directory that is lost or rolled back after a failover changes nothing: fenced beside the disk"
    )
    func state() throws {
      let promoted = try promote()
      let state = "\(promoted.lab.folder)/receiver-state"
      for name in Self.memory where FileManager.default.fileExists(atPath: "\(state)/\(name)") {
        try FileManager.default.removeItem(atPath: "\(state)/\(name)")
      }
      // The sender learns since when and why.
      try expectNoWrite(promoted, status: 77, says: ["promoted", "fenced"])
      try FileManager.default.removeItem(atPath: state)
      try FileManager.default.moveItem(atPath: "\(promoted.lab.folder)/state-before", toPath: state)
      try expectNoWrite(promoted, status: 77, says: ["promoted", "fenced"])
    }

    @Test("a catalog from before the failover is refused, and so is a catalog that is gone; failover goes on")
    func catalog() throws {
      let promoted = try promote()
      let (lab, files) = (promoted.lab, FileManager.default)
      try files.moveItem(atPath: promoted.catalog, toPath: "\(lab.folder)/catalog-after")
      try expectNoWrite(promoted, status: 1, says: ["catalog", "restore the catalog"])
      try files.copyItem(atPath: "\(lab.folder)/catalog-before", toPath: promoted.catalog)
      try expectNoWrite(promoted, status: 1, says: ["failed over", "failover.json", "run"])
      // Both notes by themselves.
      let progress = (promoted.catalog as NSString).deletingLastPathComponent + "/failover.json"
      try files.moveItem(atPath: progress, toPath: "\(lab.folder)/progress")
      try expectNoWrite(promoted, status: 1, says: ["failed over", "fenced"])
      try files.moveItem(atPath: "\(lab.folder)/progress", toPath: progress)
      try files.removeItem(atPath: "\(lab.folder)/receiver-state")
      try files.moveItem(atPath: "\(lab.folder)/state-before", toPath: "\(lab.folder)/receiver-state")
      try expectNoWrite(promoted, status: 1, says: ["failed over", "failover.json"])
      // The way out that the message names.
      try Tool.must([Tool.receiver, "failover", "--config", lab.receiverConfig, "web01", "--yes"])
      try expectNoWrite(promoted, status: 77, says: ["promoted"])
    }
  }
}
