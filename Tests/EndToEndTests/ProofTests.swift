import Foundation
import ReplTestKit
import Testing

/// Proofs of a copy with the two real executables, judged by sha256sum, qemu-img and openssl.
extension EndToEnd {
  @Suite(.needs("qemu-img", "openssl", "sha256sum")) struct ProofTests {
    /// A VM with a flat and a sparse disk, each with a page of which there is no other.
    /// `store` is the filesystem of the standbys, when it is not the machine's own.
    private func makeLab(store: LoopMount? = nil) throws -> Lab {
      let lab = try Lab()
      if let store {
        try FileManager.default.removeItem(atPath: lab.storeFolder)
        try FileManager.default.createDirectory(
          atPath: store.path + "/dr", withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
          atPath: lab.storeFolder, withDestinationPath: store.path + "/dr")
      }
      let raw = lab.folder + "/content.raw"
      var content = [UInt8](repeating: 0, count: (12 << 20) + 512)
      for page in [0, 7, 256, 257, 1500, 3072] {
        let bytes = PageMaker.random(byteCount: 4096, seed: UInt64(page + 1))
        let start = page * 4096
        content.replaceSubrange(
          start..<min(start + 4096, content.count), with: bytes.prefix(content.count - start))
      }
      try Data(content).write(to: URL(fileURLWithPath: raw))
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 0, from: raw)
      try lab.addDisk(subformat: "monolithicSparse", sizeBytes: 0, from: raw)
      try lab.writeVMX()
      try lab.configure()
      return lab
    }

    private func verify(_ lab: Lab, _ arguments: String...) throws -> ToolResult {
      try Tool.run([Tool.sender, "verify", lab.vmName, "--source", "--config", lab.senderConfig] + arguments)
    }

    private func statements(_ lab: Lab, _ side: String) throws -> [String] {
      let folder = "\(lab.folder)/\(side)-state/statements"
      return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { "\(folder)/\($0)" }
    }

    private func json(_ path: String) throws -> [String: Any] {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    private func sha256(_ path: String) throws -> String {
      String(try Tool.must(["sha256sum", path]).prefix(64))
    }

    /// What the statement says of each disk's content must be what sha256sum says.
    private func judgeHashes(_ statement: String, _ lab: Lab) throws {
      let disks = try #require(try json(statement)["disks"] as? [[String: Any]])
      #expect(disks.count == 2)
      for (index, disk) in disks.enumerated() {
        let raw = "\(lab.folder)/judged.raw"
        try Tool.must([
          "qemu-img", "convert", "-O", "raw", "\(lab.sourceFolder)/\(lab.diskNames[index])", raw,
        ])
        let source = try #require(disk["source"] as? [String: Any])
        let target = try #require(disk["target"] as? [String: Any])
        #expect(source["sha256"] as? String == (try sha256(raw)), "disk \(index)")
        let flat = "\(try lab.standbyFolder)/scsi0-\(index)-flat.vmdk"
        #expect(target["sha256"] as? String == (try sha256(flat)), "disk \(index)")
      }
    }

    /// Both signatures, by openssl alone.
    private func judgeSignatures(_ statement: String, _ lab: Lab) throws {
      let document = try json(statement)
      for (name, side) in [("source", "sender"), ("target", "receiver")] {
        let signed = try #require(document[name] as? [String: Any])
        let stem = "\(lab.folder)/\(name)"
        for (key, file) in [("publicKey", "\(stem).pem"), ("signedText", "\(stem).txt")] {
          try #require(signed[key] as? String).write(toFile: file, atomically: true, encoding: .utf8)
        }
        let encoded = try #require(signed["signature"] as? String)
        let signature = try #require(Data(base64Encoded: encoded))
        try signature.write(to: URL(fileURLWithPath: "\(stem).sig"))
        try Tool.must([
          "openssl", "dgst", "-sha256", "-verify", "\(stem).pem", "-signature", "\(stem).sig", "\(stem).txt",
        ])
        try Tool.must([
          "openssl", "pkey", "-pubin", "-in", "\(stem).pem", "-outform", "DER", "-out", "\(stem).der",
        ])
        let program = side == "sender" ? Tool.sender : Tool.receiver
        let (ours, judged) = (
          try lab.fingerprint(program, "\(lab.folder)/\(side)-state"), try sha256("\(stem).der")
        )
        #expect(ours == "sha256:\(judged)")
      }
    }

    @Test("the sender proves its copy: hashes, signatures and both statements are judged from outside")
    func good() throws {
      let lab = try makeLab()
      try lab.startReceiver()
      let result = try verify(lab)
      #expect(result.status == 0, "\(result.output) \(result.errors)")
      #expect(result.output.contains("every byte of the standby is the source's"))
      let ours = try #require(try statements(lab, "sender").first)
      let theirs = try #require(try statements(lab, "receiver").first)
      #expect(result.output.contains(ours))
      let (mine, yours) = (
        try Data(contentsOf: URL(fileURLWithPath: ours)), try Data(contentsOf: URL(fileURLWithPath: theirs))
      )
      #expect(mine == yours)
      try judgeHashes(ours, lab)
      try judgeSignatures(ours, lab)
      for program in [Tool.sender, Tool.receiver] {
        let check = try Tool.run([program, "statement", "check", theirs])
        #expect(check.status == 0 && check.output.contains("genuine"), "\(check.output) \(check.errors)")
      }
      try eventually("the receiver's log tells of it") {
        lab.receiver?.errors.contains("verdict=identical") == true
      }
      // A hash, a verdict, a name: whatever is changed, the file is not genuine any more.
      let text = try String(contentsOfFile: ours, encoding: .utf8)
      for (from, to) in [("identical", "differing"), ("web01", "web02"), ("12583424", "12583425")] {
        let forged = "\(lab.folder)/forged.json"
        try text.replacingOccurrences(of: from, with: to).write(
          toFile: forged, atomically: true, encoding: .utf8)
        let check = try Tool.run([Tool.receiver, "statement", "check", forged])
        #expect(check.status == 65 && check.errors.contains("not genuine"), "\(from): \(check)")
      }
      #expect(try Tool.run([Tool.sender, "statement", "check", "\(lab.folder)/nothing"]).status == 74)
    }

    /// Flips one bit of a file whose size, inode and modification time stay as they were.
    private func flip(_ path: String, at offset: Int) throws {
      try Tool.must(["touch", "-r", path, path + ".time"])
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
      try file.seek(toOffset: UInt64(offset))
      let byte = try #require(try file.read(upToCount: 1)?.first)
      try file.seek(toOffset: UInt64(offset))
      try file.write(contentsOf: [byte ^ 1])
      try file.close()
      try Tool.must(["touch", "-r", path + ".time", path])
      try FileManager.default.removeItem(atPath: path + ".time")
    }

    @Test(
      "a bit that flipped on the standby, which no pass sees, is found by the proof and is loud everywhere")
    func flippedBit() throws {
      let lab = try makeLab()
      try lab.startReceiver()
      try lab.pass()
      try flip("\(try lab.standbyFolder)/scsi0-1-flat.vmdk", at: 1500 * 4096 + 9)
      try lab.pass()
      #expect(try !lab.isIdentical(disk: 1), "a pass has put it right by itself")
      let result = try verify(lab, "--json")
      #expect(result.status == 1, "\(result.output) \(result.errors)")
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
      #expect(report["verdict"] as? String == "differing")
      let statement = try #require(report["statement"] as? String)
      let check = try Tool.run([Tool.sender, "statement", "check", statement])
      #expect(check.status == 1)
      #expect(check.output.contains("scsi0:1"))
      #expect(check.output.contains("at byte \(1500 * 4096)"), "\(check.output)")
      try judgeHashes(statement, lab)
      try eventually("the receiver's log tells of it") {
        lab.receiver?.errors.contains("verdict=differing") == true
      }
      let status = try Tool.run([Tool.sender, "status", "--config", lab.senderConfig])
      #expect(status.output.contains("failing"), "\(status.output)")
    }

    @Test("asked for at the receiver, the next pass proves, and the command that waits tells the verdict")
    func requested() throws {
      let lab = try makeLab()
      try lab.startReceiver()
      try lab.pass()
      let arguments = [Tool.receiver, "verify", lab.vmName, "--source", "--config", lab.receiverConfig]
      let asked = try Tool.run(arguments + ["--no-wait"])
      #expect(asked.status == 0 && asked.errors.contains("the next pass"), "\(asked.errors)")
      let waiting = try Running(arguments)
      try eventually("the command waits") { waiting.errors.contains("the next pass") }
      #expect(waiting.process.isRunning)
      try lab.pass()
      let result = try waiting.finish(seconds: 30)
      #expect(result.status == 0, "\(result.output) \(result.errors)")
      #expect(result.output.contains("every byte of the standby is the source's"))
      let names = try statements(lab, "sender").map { ($0 as NSString).lastPathComponent }
      #expect(names.count == 1, "asked for twice, proven once")
      #expect(names == (try statements(lab, "receiver").map { ($0 as NSString).lastPathComponent }))
      try lab.pass()
      #expect(try statements(lab, "sender").count == 1)
    }

    /// Flips a bit of a page wherever the filesystem has put it, beneath it: no name, size or time changes.
    private func rot(_ page: [UInt8], in mount: LoopMount) throws -> Int {
      let path = (mount.path as NSString).deletingLastPathComponent + "/image"
      let image = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
      // Blocks of both filesystems begin at multiples of a page.
      let places = image.withUnsafeBytes { (image: UnsafeRawBufferPointer) in
        stride(from: 0, to: image.count - page.count, by: 4096).filter {
          memcmp(image.baseAddress! + $0, page, page.count) == 0
        }
      }
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
      for place in places {
        try file.seek(toOffset: UInt64(place + 100))
        try file.write(contentsOf: [page[100] ^ 1])
      }
      try file.synchronize()
      try file.close()
      return places.count
    }

    @Test(
      "rot beneath the filesystem is seen: a flipped bit differs, a bad checksum proves nothing",
      .needsLoopMounts, .needs("mkfs.xfs", "mkfs.btrfs"),
      arguments: [(LoopMount.Filesystem.xfs, Int32(1), "differing"), (.btrfs, 74, "inconclusive")])
    func rottenMedium(filesystem: LoopMount.Filesystem, status: Int32, verdict: String) throws {
      let mount = try LoopMount(filesystem, sizeGiB: 1)
      let lab = try makeLab(store: mount)
      try lab.startReceiver()
      try lab.pass()
      #expect(try rot(PageMaker.random(byteCount: 4096, seed: 1501), in: mount) == 2, "once a disk")
      let result = try verify(lab)
      #expect(result.status == status, "\(result.output) \(result.errors)")
      let statement = try #require(try statements(lab, "sender").first)
      #expect(try json(statement)["verdict"] as? String == verdict)
      #expect(result.output.contains("\(1500 * 4096)"), "\(result.output)")
      try lab.stopReceiver()
    }
  }
}
