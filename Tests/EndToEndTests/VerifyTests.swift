import Foundation
import ReplModel
import Testing

/// Verifying, repairing, adopting and beginning anew with the real executables.
extension EndToEnd {
  @Suite(.needs("qemu-img", "qemu-io")) struct VerifyTests {
    /// 8 MiB and a short last page; data in front, in the middle and at the end, zeros in between.
    private static let sizeBytes = (8 << 20) + 1536

    private func makeLab() throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: Self.sizeBytes)
      try lab.writeVMX()
      try lab.change(
        disk: 0, ["write -P 0x41 0 256k", "write -P 0x42 4M 1M", "write -P 0x43 8388608 1536"])
      try lab.configure(receiver: "verify: \"off\"")
      try lab.startReceiver()
      try lab.pass()
      return lab
    }

    private func receiver(_ lab: Lab, _ arguments: [String], input: String? = nil) throws -> ToolResult {
      try Tool.run(
        [Tool.receiver, arguments[0], "--config", lab.receiverConfig] + arguments.dropFirst(), input: input)
    }

    /// As `dd conv=notrunc`: one byte over another descriptor.
    private func flip(_ lab: Lab, at offset: Int) throws {
      let path = "\(try lab.standbyFolder)/scsi0-0-flat.vmdk"
      let file = try #require(FileHandle(forUpdatingAtPath: path))
      defer { file.closeFile() }
      file.seek(toFileOffset: UInt64(offset))
      let byte = file.readData(ofLength: 1)[0]
      file.seek(toFileOffset: UInt64(offset))
      file.write(Data([byte ^ 0x01]))
    }

    private struct Found: Decodable {
      struct Disk: Decodable {
        struct Part: Decodable {
          let page: Int
          let offset: Int
          let length: Int
        }
        let verdict: String
        let differing: [Part]
        let touched: String?
      }
      let verdict: String
      let wantedPages: Int
      let diverged: Bool
      let suspect: Bool
      let wholePoint: Bool
      let disks: [Disk]
    }

    private func found(_ result: ToolResult) throws -> Found {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(Found.self, from: Data(result.output.utf8))
    }

    @Test(
      "one flipped byte, wherever it is: verify names its page, and after --repair the next pass sends it",
      arguments: [(0, true), ((4 << 20) + 70_001, false), ((8 << 20) + 1535, true), ((2 << 20) + 5, false)])
    func flip(offset: Int, daemonRuns: Bool) throws {
      let lab = try makeLab()
      if !daemonRuns { try lab.stopReceiver() }
      #expect(try receiver(lab, ["verify", "web01"]).status == 0)
      try flip(lab, at: offset)

      let verify = try receiver(lab, ["verify", "web01", "--json"])
      #expect(verify.status == 1, "\(verify.errors)")
      let difference = try #require(try found(verify).disks.first?.differing.first)
      #expect(difference.page == offset / 4096 && difference.offset == offset / 4096 * 4096)
      #expect(difference.length == (offset >= 8 << 20 ? 1536 : 4096))
      #expect(try found(verify).disks[0].differing.count == 1)

      // Nobody starts it as it is.
      let refused = try receiver(lab, ["failover", "web01", "--yes"])
      #expect(refused.status == 77 && refused.errors.contains("--force"), "\(refused.errors)")
      let status = try receiver(lab, ["status", "--json"])
      #expect([.suspect, .diverged].contains(try Lab.decodeStatus(status.output).state))

      let repair = try receiver(lab, ["verify", "web01", "--repair", "--json"])
      #expect(repair.status == 1, "\(repair.errors)")
      #expect(try found(repair).wantedPages == 1 && !found(repair).diverged)
      if !daemonRuns { try lab.startReceiver() }
      let pass = try lab.pass()
      #expect(pass.lastPass?.changedBytes == Int64(difference.length))
      try lab.expectIdentical("repaired")
      let after = try receiver(lab, ["verify", "web01", "--json"])
      #expect(after.status == 0, "\(after.output)")
      #expect(try found(after).wholePoint)
      let clean = try receiver(lab, ["status", "--json"])
      #expect(try Lab.decodeStatus(clean.output).state == .idle)
    }

    @Test(
      "a standby that somebody wrote is diverged; adopting keeps what is right, and the next pass repairs")
    func adopt() throws {
      let lab = try makeLab()
      try Tool.must([
        "qemu-io", "-f", "raw", "-c", "write -P 0x77 1M 64k", "-c", "write -P 0x41 0 64k",
        "\(try lab.standbyFolder)/scsi0-0-flat.vmdk",
      ])
      let before = try Data(contentsOf: URL(fileURLWithPath: "\(lab.standbyFolder)/scsi0-0-flat.vmdk"))
      let pass = try lab.startPass().finish(seconds: 60)
      #expect(pass.status != 0 && pass.errors.contains("adopt VM --verify"), "\(pass.errors)")
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: "\(lab.standbyFolder)/scsi0-0-flat.vmdk")) == before,
        "nothing is overwritten")
      let shown = try receiver(lab, ["status"])
      #expect(shown.output.contains("DIVERGED since 20") && shown.output.contains("adopt"), "\(shown.output)")

      #expect(try receiver(lab, ["adopt", "web01"]).status == 64, "without --verify nothing is taken back")
      #expect(try receiver(lab, ["adopt", "web01", "--verify"], input: "no\n").status == 77)
      let adopted = try receiver(lab, ["adopt", "web01", "--verify", "--yes", "--json"])
      #expect(adopted.status == 0, "\(adopted.errors)")
      #expect(try found(adopted).wantedPages == 16, "what was written again as it was is kept")
      let status = try lab.pass()
      #expect(status.lastPass?.changedBytes == 64 << 10)
      try lab.expectIdentical("adopted")
      #expect(try receiver(lab, ["verify", "web01"]).status == 0)
    }

    @Test("beginning anew ends the points, starts nothing, and the next pass sends only what differs")
    func reseed() throws {
      let lab = try makeLab()
      try flip(lab, at: 4 << 20)
      let vmx = "\(try lab.standbyFolder)/web01.vmx"
      #expect(try receiver(lab, ["reseed", "web01"], input: "no\n").status == 77)
      #expect(FileManager.default.fileExists(atPath: vmx))
      let plan = try receiver(lab, ["reseed", "web01", "--plan"])
      #expect(plan.output.contains("ends     recovery point 1.1"))
      #expect(try receiver(lab, ["reseed", "web01", "--yes"]).status == 0)
      #expect(!FileManager.default.fileExists(atPath: vmx))
      #expect(try receiver(lab, ["failover", "web01", "--yes"]).status == 77, "nothing to start")
      let status = try lab.pass()
      #expect(status.newestPoint?.reference == PointReference(epoch: Epoch(1), number: 2))
      #expect(status.lastPass?.changedBytes == 4096)
      try lab.expectIdentical("seeded anew")
    }

    @Test("a suspect standby is started only by force, with the loss typed as the plan shows it")
    func force() throws {
      let lab = try makeLab()
      try flip(lab, at: 4 << 20)
      #expect(try receiver(lab, ["verify", "web01"]).status == 1)
      #expect(try receiver(lab, ["failover", "web01", "--yes"]).status == 77)
      let plan = try receiver(lab, ["failover", "web01", "--force", "--plan"])
      #expect(plan.status == 0 && plan.output.contains("doubtful"), "\(plan.output)")
      #expect(try receiver(lab, ["failover", "web01", "--force", "--yes"], input: "yes\n").status == 77)
      let wrong = ["failover", "web01", "--force", "--yes-i-accept-loss-of", "3 h 0 min"]
      #expect(try receiver(lab, wrong).status == 77)
      let text = try #require(plan.output.firstMatch(of: /in the last (.*) is not in it/))
      let done = try receiver(
        lab, ["failover", "web01", "--force", "--yes-i-accept-loss-of", String(text.1)])
      #expect(done.status == 0, "\(done.errors)")
      #expect(try lab.startPass().finish(seconds: 60).status == 77, "fenced")
    }
  }
}
