import Foundation
import Glibc
import ReplModel
import ReplTestKit
import Testing

/// Change hints with the two real executables.
extension EndToEnd {
  @Suite(.needs("qemu-img", "mkfs.xfs"), .needsLoopMounts, .timeLimit(.minutes(4)))
  struct HintTests {
    private static let sizeBytes = 1 << 40
    private static let pieceBytes = 4 << 20
    private static let pieces = 64

    private func block(_ lines: [String]) -> String { lines.map { "    \($0)" }.joined(separator: "\n") }

    /// A sparse disk of 1 TiB with 256 MiB in it.
    private func makeDisk(in lab: Lab, random: inout SeededRandom) throws -> FlatDisk {
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: Self.sizeBytes)
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      let pages = (0..<Self.pieces).map { _ in
        Int.random(in: 0..<(Self.sizeBytes / Self.pieceBytes), using: &random) * (Self.pieceBytes / 4096)
      }
      try disk.write(pages: pages) { PageMaker.random(byteCount: Self.pieceBytes, seed: UInt64($0)) }
      return disk
    }

    private func change(_ disk: FlatDisk, pages: Int, _ random: inout SeededRandom) throws {
      let chosen = (0..<pages).map { _ in Int.random(in: 0..<(Self.sizeBytes >> 12), using: &random) }
      try disk.write(pages: chosen) { _ in PageMaker.random(byteCount: 4096, seed: random.next()) }
    }

    private func timedPass(_ lab: Lab) throws -> (status: VMStatus, seconds: Double, read: Int64) {
      let began = Date()
      let status = try lab.pass()
      let seconds = Date().timeIntervalSince(began)
      let read = try #require(status.lastPass).readBytes
      print(
        "hinted pass: \(seconds) s, \(read) bytes read, cloning \(status.lastFreeze?.cloneSeconds ?? -1) s")
      return (status, seconds, read)
    }

    private func kept(_ lab: Lab) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: lab.sourceFolder).filter {
        $0.hasPrefix(".vmrepl-")
      }
    }

    @Test("a sparse 1 TiB disk with shared blocks: a pass costs what changed, and no clone stays unused")
    func sharedBlocks() throws {
      let seed = UInt64.random(in: 0...UInt64.max)
      print("shared blocks seed: \(seed)")
      var random = SeededRandom(seed: seed)
      let lab = try Lab(on: try LoopMount(.xfs, sizeGiB: 8))
      let disk = try makeDisk(in: lab, random: &random)
      try lab.writeVMX()
      try lab.configure(sender: block(["freeze: {provider: reflink}", "hints: {from: reflink}"]))
      try lab.startReceiver()
      let first = try timedPass(lab)
      #expect(first.status.hint?.disks.first?.refusal != nil, "seed \(seed)")
      #expect(try kept(lab).count == 1)
      try change(disk, pages: 100, &random)
      let second = try timedPass(lab)
      let hint = try #require(second.status.hint?.disks.first)
      #expect(hint.refusal == nil && second.status.hint?.contradictions == 0, "seed \(seed), \(hint)")
      // A leaf a page, the least share of the audit, of each what the disk holds, and the share of its holes.
      #expect(second.read <= 110 << 20 && second.status.lastPass?.changedBytes == 100 * 4096, "seed \(seed)")
      try lab.expectIdentical("seed \(seed)")
      let third = try timedPass(lab)
      #expect(third.read <= 10 << 20 && third.status.lastPass?.changedBytes == 0, "seed \(seed)")
      let clones = try kept(lab)
      #expect(clones.count == 1 && third.status.lastFreeze?.cloneSeconds != nil)
      #expect(third.status.hint?.keptSince != nil)
      if ProcessInfo.processInfo.environment["VMREPL_BIN_DIR"] != nil {
        #expect(second.seconds < 2 && third.seconds < 2)
      }
      try switchOff(lab)
    }

    /// Clones that nobody will use do not stay.
    private func switchOff(_ lab: Lab) throws {
      let config = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      try config.replacingOccurrences(of: "hints: {from: reflink}", with: "hints: {from: none}")
        .write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      let last = try timedPass(lab)
      #expect(try kept(lab).isEmpty && last.status.hint == nil)
      try lab.expectIdentical()
    }

    @Test("kills of the sender around the commit leave at most one set of clones, and hints that are right")
    func kills() throws {
      let seed = UInt64.random(in: 0...UInt64.max)
      print("hint kill seed: \(seed)")
      var random = SeededRandom(seed: seed)
      let lab = try Lab(on: try LoopMount(.xfs, sizeGiB: 2))
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 16 << 20)
      try lab.addDisk(subformat: "monolithicSparse", sizeBytes: 16 << 20)
      try lab.writeVMX()
      try lab.configure(sender: block(["freeze: {provider: reflink}", "hints: {from: reflink}"]))
      try lab.startReceiver()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      try lab.pass()
      let began = Date()
      try lab.pass()
      let span = Date().timeIntervalSince(began)
      var used = 0
      for number in 1...8 {
        let pages = (0..<5).map { _ in Int.random(in: 0..<4096, using: &random) }
        try disk.write(pages: pages) { _ in PageMaker.random(byteCount: 4096, seed: random.next()) }
        try lab.change(disk: 1, ["write -P \(number) \(Int.random(in: 0..<255, using: &random) << 16) 8k"])
        let pass = try lab.startPass()
        usleep(UInt32(Double.random(in: 0...span, using: &random) * 1e6))
        pass.signal(SIGKILL)
        try pass.finish(seconds: 10)
        let status = try lab.pass()
        if status.hint?.disks.allSatisfy({ $0.refusal == nil }) == true { used += 1 }
        #expect(try kept(lab).count == 1, "kill \(number), seed \(seed)")
        #expect(status.hint?.contradictions == 0, "kill \(number), seed \(seed)")
        try lab.expectIdentical("kill \(number), seed \(seed)")
      }
      // The proof reads all of both sides and asks no hint.
      let proof = try Tool.run([Tool.sender, "verify", lab.vmName, "--source", "--config", lab.senderConfig])
      #expect(proof.status == 0, "\(proof.output) \(proof.errors)")
      print("hints used after \(used) of 8 kills")
      #expect(used >= 1, "seed \(seed)")
    }

    @Test(
      "a command that lies is caught by the audit; the standby is right, and the operator has the last word")
    func lyingCommand() throws {
      let lab = try Lab(on: try LoopMount(.xfs, sizeGiB: 2))
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      let script = try lab.writeScript(
        "changes",
        """
        echo "$2" >>'\(lab.folder)/asked'
        echo '{"change_id":"7"}'
        cat '\(lab.folder)/areas'
        """)
      func say(_ areas: String) throws {
        try areas.write(toFile: "\(lab.folder)/areas", atomically: true, encoding: .utf8)
      }
      try say("{\"end\":true,\"areas\":0}\n")
      let settings = "hints: {from: command, ask: [\(script), \"{disk}\", \"{change_id}\"]}"
      try lab.configure(sender: block([settings]))
      try lab.startReceiver()
      try lab.change(disk: 0, ["write -P 1 0 4M"])
      #expect(try lab.pass().hint?.disks.first?.refusal != nil)
      #expect(try lab.pass().hint?.disks.first?.refusal == nil)
      #expect(try String(contentsOfFile: "\(lab.folder)/asked", encoding: .utf8) == "*\n7\n")
      // Every leaf of the disk, and not a word of it.
      try lab.change(
        disk: 0, ["write -P 2 64k 4k", "write -P 2 1088k 4k", "write -P 2 2112k 4k", "write -P 2 3136k 4k"])
      let caught = try lab.pass()
      #expect(caught.hint?.contradictions == 1 && caught.hint?.disks.first?.contradictionOffset != nil)
      try lab.expectIdentical()
      #expect(try lab.pass().hint?.disks.first?.refusal?.contains("hint trust") == true)
      let trusted = try Tool.must([Tool.sender, "hint", "trust", lab.vmName, "--config", lab.senderConfig])
      #expect(trusted.contains("scsi0:0"), "\(trusted)")
      try say("{\"offset\":0,\"length\":4096}\n{\"end\":true,\"areas\":1}\n")
      try lab.change(disk: 0, ["write -P 3 0 4k"])
      #expect(try lab.pass().hint?.disks.first?.refusal == nil)
      try lab.expectIdentical()
      // What is not to be believed is not used, and all is read.
      try say("{\"offset\":0,\"length\":4096}\n")
      try lab.change(disk: 0, ["write -P 4 2M 4k"])
      #expect(try lab.pass().hint?.disks.first?.refusal?.contains("not believed") == true)
      try lab.expectIdentical()
    }
  }
}
