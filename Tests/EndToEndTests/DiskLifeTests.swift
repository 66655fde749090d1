import Foundation
import ReplModel
import ReplTestKit
import Testing

/// Disks that grow, shrink, are cut and extended, change their slots, leave the VM and are removed.
extension EndToEnd {
  @Suite(.needs("qemu-img", "qemu-io")) struct DiskLifeTests {
    /// One row of `repl-receiver disk list --json`.
    private struct Row: Decodable {
      let slot: String
      let disk: String
      let state: String
      let sizeBytes: Int64
      let points: [PointReference]
      let removalRefused: String?
    }

    private static let mebibyte = 1 << 20

    /// A VM whose first disk is `monolithicFlat` and whose second is `vmfs`, at its first point.
    private func makeLab(sender: String = "") throws -> Lab {
      let lab = try Lab()
      for _ in 0..<2 { try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 * Self.mebibyte) }
      try edit(lab, "web01_1.vmdk") {
        $0.replacingOccurrences(of: "createType=\"monolithicFlat\"", with: "createType=\"vmfs\"")
          .replacingOccurrences(of: "FLAT \"web01_1-flat.vmdk\" 0", with: "VMFS \"web01_1-flat.vmdk\"")
      }
      try lab.writeVMX()
      for disk in 0..<2 { try lab.change(disk: disk, ["write -P \(0x41 + disk) 64k 3M"]) }
      try lab.configure(sender: sender)
      try lab.startReceiver()
      try lab.pass()
      try lab.expectIdentical("at first")
      return lab
    }

    private func edit(_ lab: Lab, _ name: String, _ change: (String) -> String) throws {
      let path = "\(lab.sourceFolder)/\(name)"
      let text = try String(contentsOfFile: path, encoding: .isoLatin1)
      let changed = change(text)
      #expect(changed != text, "\(name) was to be changed")
      try changed.write(toFile: path, atomically: true, encoding: .isoLatin1)
    }

    /// As VMware does it: the flat file gets another length, the descriptor another number of sectors.
    private func resize(_ lab: Lab, disk: Int, from old: Int, to new: Int) throws {
      let stem = disk == 0 ? "web01" : "web01_1"
      try Tool.must(["truncate", "-s", "\(new)", "\(lab.sourceFolder)/\(stem)-flat.vmdk"])
      try edit(lab, "\(stem).vmdk") {
        $0.replacingOccurrences(of: "RW \(old / 512) ", with: "RW \(new / 512) ")
      }
    }

    private func flat(_ lab: Lab, _ disk: Int) -> String {
      "\(lab.sourceFolder)/\(disk == 0 ? "web01" : "web01_1")-flat.vmdk"
    }

    private func disks(_ lab: Lab) throws -> [Row] {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      let text = try Tool.must([
        Tool.receiver, "disk", "list", "web01", "--json", "--config", lab.receiverConfig,
      ])
      return try decoder.decode([Row].self, from: Data(text.utf8))
    }

    private func remove(_ lab: Lab, _ arguments: [String]) throws -> ToolResult {
      try Tool.run(
        [Tool.receiver, "disk", "remove", "web01"] + arguments + ["--config", lab.receiverConfig], input: "")
    }

    // MARK: - Sizes

    @Test(
      "disks that grew are grown at the standby: identical, with only the changes sent, and restart-proof")
    func grow() throws {
      let lab = try makeLab()
      let (old, new) = (8 * Self.mebibyte, 20 * Self.mebibyte + 1536)
      for disk in 0..<2 { try resize(lab, disk: disk, from: old, to: new) }
      let empty = try lab.pass()
      #expect(try #require(empty.lastPass).changedBytes == 0, "the new part is zero")
      try lab.expectIdentical("grown")
      for disk in 0..<2 {
        try lab.change(disk: disk, ["write -P 0x51 4M 64k", "write -P 0x52 19M 128k"])
      }
      try lab.stopReceiver()
      try lab.startReceiver()
      let changed = try lab.pass()
      #expect(try #require(changed.lastPass).changedBytes == 2 * 192 << 10)
      try lab.expectIdentical("changed in the old and the new part")
      #expect(try disks(lab).map(\.sizeBytes) == [Int64(new), Int64(new)])
      // Grown and changed in one pass.
      try resize(lab, disk: 0, from: new, to: 30 * Self.mebibyte)
      try lab.change(disk: 0, ["write -P 0x53 29M 64k"])
      let both = try lab.pass()
      #expect(try #require(both.lastPass).changedBytes == 64 << 10)
      try lab.expectIdentical("grown and changed at once")
      let standby = try lab.standbyDisk(0).replacingOccurrences(of: ".vmdk", with: "-flat.vmdk")
      let blocks = try Tool.must(["stat", "-c", "%b", standby]).filter(\.isNumber)
      #expect(try #require(Int(blocks)) * 512 < 12 * Self.mebibyte, "the new part stays sparse")
    }

    @Test("a disk that shrank stops the VM: both sizes and what to do are said, and the standby stays")
    func shrink() throws {
      let lab = try makeLab()
      let before = try FlatDisk(path: "\(lab.standbyFolder)/scsi0-1-flat.vmdk").copy()
      try resize(lab, disk: 1, from: 8 * Self.mebibyte, to: 6 * Self.mebibyte)
      let refused = try lab.startPass().finish(seconds: 60)
      #expect(refused.status != 0)
      for part in ["scsi0:1 shrank from 8388608 to 6291456 bytes", "exclude_disks", "disk remove"] {
        #expect(refused.errors.contains(part), "\(refused.errors)")
      }
      #expect(try FlatDisk(path: "\(lab.standbyFolder)/scsi0-1-flat.vmdk").contents() == before)
      try resize(lab, disk: 1, from: 6 * Self.mebibyte, to: 8 * Self.mebibyte)
      try lab.pass()
      try lab.expectIdentical("with its size back")
    }

    @Test(
      "holes that are punched and written again, and a disk cut and extended, arrive as they are"
    )
    func holes() throws {
      let lab = try makeLab()
      let hole = ["fallocate", "-p", "-o", "\(Self.mebibyte)", "-l", "\(Self.mebibyte)", flat(lab, 0)]
      try Tool.must(hole)
      try lab.pass()
      try lab.expectIdentical("punched")
      try Tool.must(hole)
      try lab.change(disk: 0, ["write -P 0x61 1M 64k"])
      try lab.pass()
      try lab.expectIdentical("punched and written again")
      // Between two passes the disk is cut and gets its size back: what was behind the cut reads as zeros.
      try Tool.must(["truncate", "-s", "\(2 * Self.mebibyte)", flat(lab, 1)])
      try Tool.must(["truncate", "-s", "\(8 * Self.mebibyte)", flat(lab, 1)])
      try lab.pass()
      try lab.expectIdentical("cut and extended")
      let standby = try FlatDisk(path: "\(lab.standbyFolder)/scsi0-1-flat.vmdk").contents()
      #expect(standby[(2 * Self.mebibyte)...].allSatisfy { $0 == 0 })
      #expect(standby[Self.mebibyte] == 0x42)
    }

    // MARK: - Coming and going

    /// The VMX with these disks, by unit.
    private func attach(_ lab: Lab, _ names: [(unit: Int, name: String)]) throws {
      let path = "\(lab.sourceFolder)/web01.vmx"
      var lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
      lines.removeAll { $0.hasPrefix("scsi0:") }
      for (unit, name) in names {
        lines += ["scsi0:\(unit).present = \"TRUE\"", "scsi0:\(unit).fileName = \"\(name)\""]
      }
      try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Identities that do not hang on the slot.
    private func giveUUIDs(_ lab: Lab) throws {
      for (disk, name) in lab.diskNames.enumerated() {
        let uuid = "60 00 C2 9\(disk) 11 22 33 44-55 66 77 88 99 aa bb cc"
        try edit(lab, name) { $0.trimmingCharacters(in: ["\0"]) + "\nddb.uuid = \"\(uuid)\"\n" }
      }
    }

    private func unnamedLab() throws -> Lab {
      let lab = try Lab()
      for _ in 0..<2 { try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 * Self.mebibyte) }
      try giveUUIDs(lab)
      try lab.writeVMX()
      for disk in 0..<2 { try lab.change(disk: disk, ["write -P \(0x41 + disk) 64k 3M"]) }
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      return lab
    }

    @Test("disks that swap their slots keep their files, nothing is sent, and the stub follows")
    func swap() throws {
      let lab = try unnamedLab()
      let before = try disks(lab)
      try attach(lab, [(0, "web01_1.vmdk"), (1, "web01.vmdk")])
      let status = try lab.pass()
      #expect(try #require(status.lastPass).changedBytes == 0)
      #expect(try disks(lab).map(\.disk) == before.map(\.disk).reversed())
      try lab.expectIdentical("file names stay with the disks")
      let vmx = try String(contentsOfFile: "\(lab.standbyFolder)/web01.vmx", encoding: .utf8)
      #expect(vmx.contains("scsi0:0.fileName = \"scsi0-1.vmdk\""))
      #expect(vmx.contains("scsi0:1.fileName = \"scsi0-0.vmdk\""))
    }

    @Test("a disk that is taken out of its VM is kept, detached, until an operator removes it")
    func remove() throws {
      let lab = try unnamedLab()
      let flat = "\(try lab.standbyFolder)/scsi0-1-flat.vmdk"
      let attached = try remove(lab, ["scsi0:1", "--yes"])
      #expect(
        attached.status == 77 && attached.errors.contains("newest recovery point"), "\(attached.errors)")
      try attach(lab, [(0, "web01.vmdk")])
      try lab.pass()
      let row = try #require(try disks(lab).last)
      #expect(row.state == "detached" && row.points.count == 1 && row.removalRefused != nil)
      let held = try remove(lab, ["scsi0:1", "--yes"])
      #expect(held.status == 77 && held.errors.contains("holds it"), "\(held.errors)")
      let pointsDrop = [Tool.receiver, "points", "drop", "web01", "1.1", "--config", lab.receiverConfig]
      let undecided = try Tool.run(pointsDrop, input: "")
      #expect(undecided.status == 77 && undecided.errors.contains("--yes"), "\(undecided.errors)")
      try Tool.must(pointsDrop + ["--yes"])
      let status = try Tool.must([Tool.receiver, "status", "--config", lab.receiverConfig])
      #expect(status.contains("scsi0:1: detached, the copy is kept"), "\(status)")
      let plan = try remove(lab, [row.disk, "--plan"])
      #expect(plan.status == 0 && plan.output.contains(flat) && plan.output.contains("none that is kept"))
      let unasked = try remove(lab, ["scsi0-1"])
      #expect(unasked.status == 77 && unasked.errors.contains("--yes"), "\(unasked.errors)")
      #expect(FileManager.default.fileExists(atPath: flat))
      let done = try remove(lab, ["scsi0-1", "--yes"])
      #expect(done.status == 0, "\(done.errors)")
      #expect(!FileManager.default.fileExists(atPath: flat))
      #expect(try disks(lab).map(\.state) == ["ready"])
      #expect(try remove(lab, ["scsi0:1", "--yes"]).status == 64)
      try lab.pass()
      #expect(try lab.isIdentical(disk: 0))
    }

    // MARK: - Fuzzy points

    @Test("failover refuses a fuzzy point, says why and what to do, and takes it when told to")
    func fuzzy() throws {
      let lab = try makeLab()
      let config = try String(contentsOfFile: lab.senderConfig, encoding: .utf8).replacingOccurrences(
        of: "web01.vmx", with: "web01.vmx\n    freeze: {provider: none, allow_fuzzy: true}")
      try config.write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      _ = FileManager.default.createFile(atPath: "\(lab.sourceFolder)/web01-1234.vswp", contents: nil)
      try lab.pass()
      func failover(_ arguments: [String]) throws -> ToolResult {
        try Tool.run(
          [Tool.receiver, "failover", "web01", "--config", lab.receiverConfig] + arguments, input: "")
      }
      let shown = try Lab.decodeStatus(
        try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig]))
      #expect(shown.newestPoint?.reference.number == 1 && shown.fuzzyPoint?.reference.number == 2)
      let plan = try failover(["--plan"])
      #expect(plan.status == 0 && plan.output.contains("fuzzy, frozen at") && plan.output.contains("refused"))
      let refused = try failover(["--yes"])
      #expect(refused.status == 77 && refused.errors.contains("--accept-fuzzy"), "\(refused.errors)")
      try lab.pass()
      let later = try Lab.decodeStatus(
        try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig]))
      #expect(later.newestPoint?.reference.number == 1, "the lag goes on rising behind fuzzy points")
      let taken = try failover(["--yes", "--accept-fuzzy"])
      #expect(taken.status == 0 && taken.output.contains("recovery point 1.3"), "\(taken.errors)")
    }
  }
}
