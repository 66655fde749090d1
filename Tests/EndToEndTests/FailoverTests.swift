import Foundation
import ReplModel
import ReplTestKit
import Testing

/// Failover with the real executables, and what happens to a sender that comes back.
extension EndToEnd {
  @Suite(.needs("qemu-img")) struct FailoverTests {
    private func makeLab(receiver: String = "") throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.configure(receiver: receiver)
      try lab.startReceiver()
      try lab.pass()
      return lab
    }

    private func failover(_ lab: Lab, _ arguments: [String], input: String? = nil) throws -> ToolResult {
      try Tool.run([Tool.receiver, "failover", "--config", lab.receiverConfig] + arguments, input: input)
    }

    @Test("the plan changes nothing, an answer other than yes changes nothing, and failover fences for good")
    func fence() throws {
      let lab = try makeLab()
      let plan = try failover(lab, ["web01", "--plan"])
      #expect(plan.status == 0 && plan.output.contains("recovery point 1.1"))
      let refused = try failover(lab, ["web01"], input: "y\n")
      #expect(refused.status == 77 && refused.errors.contains("not confirmed"))
      try lab.change(disk: 0, ["write -P 0x42 1M 64k"])
      try lab.pass()
      let before = try Data(contentsOf: URL(fileURLWithPath: "\(lab.standbyFolder)/scsi0-0-flat.vmdk"))

      let done = try failover(lab, ["web01", "--yes"])
      #expect(done.status == 0, "\(done.errors)")
      #expect(done.output.contains("recovery point 1.2") && done.output.contains("registervm"))

      try lab.change(disk: 0, ["write -P 0x43 2M 64k"])
      for restart in [false, true] {
        if restart {
          try lab.stopReceiver()
          try lab.startReceiver()
        }
        let back = try lab.startPass().finish(seconds: 60)
        #expect(back.status == 77, "restart \(restart): \(back.errors)")
        #expect(back.errors.contains("promoted") || back.errors.contains("fenced"), "\(back.errors)")
      }
      let after = try Data(contentsOf: URL(fileURLWithPath: "\(lab.standbyFolder)/scsi0-0-flat.vmdk"))
      #expect(before == after)
      let status = try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig])
      #expect(try Lab.decodeStatus(status).state == .promoted)
    }

    @Test(
      "failover works without a daemon, runs the commands with their placeholders, and says what they printed"
    )
    func commands() throws {
      let lab = try makeLab(
        receiver: """
          failover:
            register: [/bin/sh, -c, 'echo "registered $0" >> $1/../ran; echo 42', "{vmx}", "{directory}"]
            power_on: [/bin/sh, -c, 'echo "started $0" >> $1/../ran', "{id}", "{directory}"]
          """)
      try lab.stopReceiver()
      let done = try failover(lab, ["web01", "--yes"])
      #expect(done.status == 0, "\(done.errors)")
      let ran = try String(contentsOfFile: "\(lab.storeFolder)/ran", encoding: .utf8)
      #expect(ran == "registered \(try lab.standbyFolder)/web01.vmx\nstarted 42\n")
      let again = try failover(lab, ["web01", "--yes"])
      #expect(again.status == 0)
      #expect(
        try String(contentsOfFile: "\(lab.storeFolder)/ran", encoding: .utf8) == ran, "nothing runs twice")
    }

    @Test(
      "a failover whose command fails or hangs is refused in time, stays fenced, and goes on when run again")
    func resume() throws {
      let lab = try makeLab(
        receiver: """
          failover:
            register: [/bin/sh, -c, 'test -e "$0/../ready" && echo 7', "{directory}"]
            power_on: [/bin/sh, -c, 'test -e "$0/../awake" || sleep 60; echo on', "{directory}"]
            deadline: 2s
          """)
      let failed = try failover(lab, ["web01", "--yes"])
      #expect(failed.status == 1 && failed.errors.contains("/bin/sh"))
      #expect(
        try lab.startPass().finish(seconds: 60).status == 77, "fenced although the failover is not complete")
      _ = FileManager.default.createFile(atPath: "\(lab.storeFolder)/ready", contents: nil)
      let began = Date()
      let hung = try failover(lab, ["web01", "--yes"])
      #expect(hung.status == 1 && hung.errors.contains("did not end within"))
      #expect(Date().timeIntervalSince(began) < 15)
      _ = FileManager.default.createFile(atPath: "\(lab.storeFolder)/awake", contents: nil)
      let done = try failover(lab, ["web01", "--yes"])
      #expect(done.status == 0 && done.errors.contains("on"), "\(done.errors)")
    }

    @Test("failover while a pass runs: the pass makes way, and the standby is one complete point")
    func duringPass() throws {
      let lab = try makeLab()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      let old = try disk.copy()
      var random = SeededRandom(seed: 3)
      try disk.write(pages: Array(0..<2048)) { _ in
        (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
      }
      let new = try disk.copy()
      let pass = try lab.startPass()
      usleep(120_000)
      let done = try failover(lab, ["web01", "--yes"])
      #expect(done.status == 0, "\(done.errors)")
      try pass.finish(seconds: 60)
      let standby = try Data(contentsOf: URL(fileURLWithPath: "\(lab.standbyFolder)/scsi0-0-flat.vmdk"))
      #expect(standby == old || standby == new)
      #expect(!FileManager.default.fileExists(atPath: "\(try lab.standbyFolder)/SETTLING.txt"))
      #expect(try lab.startPass().finish(seconds: 60).status == 77)
    }

    @Test("a missing disk file is found before anything is done, by the plan and by the failover")
    func missingDisk() throws {
      let lab = try makeLab()
      try lab.stopReceiver()
      let folder = try lab.standbyFolder
      try FileManager.default.moveItem(
        atPath: "\(folder)/scsi0-0-flat.vmdk", toPath: "\(lab.folder)/away")
      for arguments in [["web01", "--plan"], ["web01", "--yes"]] {
        let refused = try failover(lab, arguments)
        #expect(refused.status == 74 && refused.errors.contains("scsi0-0-flat.vmdk"), "\(refused.errors)")
      }
      try FileManager.default.moveItem(
        atPath: "\(lab.folder)/away", toPath: "\(folder)/scsi0-0-flat.vmdk")
      try lab.startReceiver()
      try lab.pass()
    }

    @Test("a failover that is run again leaves the files of the promoted VM alone")
    func promotedFiles() throws {
      let lab = try makeLab()
      #expect(try failover(lab, ["web01", "--yes"]).status == 0)
      let vmx = "\(try lab.standbyFolder)/web01.vmx"
      let text = try String(contentsOfFile: vmx, encoding: .utf8) + "changed = \"TRUE\"\n"
      try text.write(toFile: vmx, atomically: true, encoding: .utf8)
      #expect(try failover(lab, ["web01", "--yes"]).status == 0)
      #expect(try String(contentsOfFile: vmx, encoding: .utf8) == text)
    }

    @Test("a catalog that cannot be read is told by failover and by status")
    func unreadable() throws {
      let lab = try makeLab()
      try lab.stopReceiver()
      try Data("?".utf8).write(to: URL(fileURLWithPath: "\(try lab.standbyFolder)/.repl/catalog"))
      let refused = try failover(lab, ["web01", "--plan"])
      #expect(refused.status == 65 && refused.errors.contains("catalog"), "\(refused.errors)")
      let status = try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig])
      let entry = try Lab.decodeStatus(status)
      #expect(entry.state == .stopped && entry.lastFailure?.cause.contains("catalog") == true)
    }

    @Test("a store that is missing does not keep the others from failover and from the daemon")
    func missingStore() throws {
      let lab = try makeLab()
      try lab.stopReceiver()
      let config = try String(contentsOfFile: lab.receiverConfig, encoding: .utf8)
      try config.replacing("stores:\n", with: "stores:\n  - name: gone\n    path: \(lab.folder)/gone\n")
        .write(toFile: lab.receiverConfig, atomically: true, encoding: .utf8)
      try lab.startReceiver()
      try lab.pass()
      let plan = try failover(lab, ["web01", "--plan"])
      #expect(plan.status == 0 && plan.errors.contains("init --store"), "\(plan.errors)")
    }

    @Test("an unknown VM and one without a first point are refused with a sentence")
    func refused() throws {
      let lab = try makeLab()
      let unknown = try failover(lab, ["web99", "--yes"])
      #expect(unknown.status == 64 && unknown.errors.contains("web99") && unknown.errors.contains("web01"))
    }
  }
}
