import Foundation
import Glibc
import ReplModel
import ReplTestKit
import Testing

/// A machine that runs and writes while it is replicated, loses its power, and starts from its standby.
extension EndToEnd {
  @Suite(
    .needs("qemu-system-x86_64", "qemu-img", "busybox", "mkfs.ext4", "e2fsck", "mkfs.xfs", "python3"),
    .needsLoopMounts, .needsGuest, .timeLimit(.minutes(6)))
  struct RealGuestTests {
    private static let passes = 10
    private static let diskMiB = 192

    @Test("a running guest replicated by reflink ten times starts from its standby with every synced file")
    func reflink() throws {
      let lab = try replicate { lab, _ in
        "    freeze:\n      provider: reflink\n      pre_freeze: {command: [\(lab.folder)/note]}"
      }
      try lab.pass()
      try lab.expectIdentical("one more pass after the power cut")
    }

    @Test("so does one that is switched to a delta and back for each of ten passes")
    func snapshots() throws {
      try replicate { lab, control in
        try VMHost(lab).settings(control: control, more: ["pre_freeze: {command: [\(lab.folder)/note]}"])
      }
    }

    @discardableResult
    private func replicate(settings: (_ lab: Lab, _ control: String) throws -> String) throws -> Lab {
      let seed =
        ProcessInfo.processInfo.environment["VMREPL_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0...UInt64.max)
      print("real guest test seed: \(seed) (set VMREPL_SEED to run it again)")
      var random = SeededRandom(seed: seed)
      let lab = try Lab(on: try LoopMount(.xfs, sizeGiB: 4))
      let raw = lab.folder + "/fs.raw"
      try Tool.must(["truncate", "-s", "\(Self.diskMiB)M", raw])
      try Tool.must(["mkfs.ext4", "-q", "-F", raw])
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 0, from: raw)
      try lab.writeVMX()
      let guest = try Guest(.write, disk: "\(lab.sourceFolder)/web01.vmdk", in: lab.folder)
      // The hook keeps what the guest had said before the freeze began.
      try lab.writeScript("note", "cp '\(guest.reportPath)' '\(lab.folder)/before-freeze'")
      try lab.configure(sender: try settings(lab, guest.controlPath))
      try lab.startReceiver()
      try guest.waitForFile(5)
      try expectRefusalWithoutProvider(lab)
      var changedBytes: Int64 = 0
      var seconds: [Double] = []
      for number in 1...Self.passes {
        let began = Date()
        let status = try lab.pass()
        seconds.append(Date().timeIntervalSince(began))
        #expect(status.newestPoint?.reference.number == UInt64(number))
        #expect(status.newestPoint?.label == .crashConsistent)
        #expect(try #require(status.lastFreeze?.heldSeconds) > 0)
        changedBytes += status.lastPass?.changedBytes ?? 0
        try guest.waitForFile(guest.newestSynced + Int.random(in: 1...30, using: &random))
      }
      try guest.kill()
      let floor = Guest.numbers("SYNCED", in: Guest.lines(of: "\(lab.folder)/before-freeze")).max() ?? 0
      let leftovers = try FileManager.default.contentsOfDirectory(atPath: lab.sourceFolder)
        .filter { $0.hasPrefix(".vmrepl-") || $0.contains("-00000") }
      #expect(leftovers == [])
      let files = try bootStandby(lab, seed: seed)
      let newest = try #require(files.max())
      // The guest removes a file when it writes the one that many numbers later.
      let oldest = max(1, newest - GuestProgram.keptFiles + 1)
      let missing = Set(oldest...max(oldest, floor)).subtracting(files)
      #expect(missing == [], "synced before the newest freeze, seed \(seed)")
      #expect(newest >= floor)
      print(
        "guest synced \(floor) files, standby has them up to \(newest), \(changedBytes) bytes changed,"
          + " longest pass \(seconds.max() ?? 0) s")
      return lab
    }

    /// A running VM is seen as running, by the locks of its disks.
    private func expectRefusalWithoutProvider(_ lab: Lab) throws {
      let config = "\(lab.folder)/none.yaml"
      let text = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      let cut = try #require(text.range(of: "    freeze:"))
      try String(text[..<cut.lowerBound]).write(toFile: config, atomically: true, encoding: .utf8)
      let refused = try Tool.run([Tool.sender, "run", "--once", "--config", config])
      #expect(refused.status == 1 && refused.errors.contains("allow_fuzzy"), "\(refused.errors)")
    }

    /// What a guest that was started from a copy of the standby says of it, and its kernel. QEMU without KVM
    /// may stand still while the kernel starts: a fresh copy of the same standby is judged then.
    private func check(
      copyAt copy: String, of standby: String, in folder: String
    ) throws -> (report: [Substring], console: [Substring]) {
      var attempt = 0
      while true {
        attempt += 1
        try Tool.must(["rm", "-rf", copy])
        try Tool.must(["cp", "-r", "--reflink=auto", "--sparse=always", standby, copy])
        let guest = try Guest(.check, disk: "\(copy)/scsi0-0.vmdk", in: folder)
        do {
          return (try guest.verdict(seconds: 60), guest.console)
        } catch {
          print("no verdict in attempt \(attempt), \(error): \(guest.report) \(guest.console.suffix(20))")
          if attempt == 3 { throw error }
        }
      }
    }

    /// Starts a copy of the standby; answers the numbers of its files, all of which are whole.
    private func bootStandby(_ lab: Lab, seed: UInt64) throws -> Set<Int> {
      let copy = lab.folder + "/boot"
      let (report, console) = try check(copyAt: copy, of: try lab.standbyFolder, in: lab.folder)
      #expect(report.last == "\(GuestProgram.verdict) CHECKED", "\(report.suffix(10)), seed \(seed)")
      let replayed = console.contains { $0.contains("recovery complete") }
      #expect(replayed, "the log was replayed, seed \(seed)")
      #expect(Guest.numbers("BROKEN", in: report) == [], "seed \(seed)")
      let judged = try Tool.run(["e2fsck", "-fn", "\(copy)/scsi0-0-flat.vmdk"])
      #expect(judged.status == 0, "\(judged.output), seed \(seed)")
      return Set(Guest.numbers("WHOLE", in: report))
    }
  }
}
