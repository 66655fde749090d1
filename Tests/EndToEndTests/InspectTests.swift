import Foundation
import Testing

extension EndToEnd {
  /// `repl-sender inspect` against images that QEMU made and reads.
  @Suite(.needs("qemu-img", "qemu-io", "sha256sum"))
  struct InspectTests {
    private func inspect(_ arguments: String...) throws -> ToolResult {
      try Tool.run([Tool.sender, "inspect"] + arguments)
    }

    private func document(_ arguments: String...) throws -> (status: Int32, json: [String: Any]) {
      let result = try Tool.run([Tool.sender, "inspect", "--json"] + arguments)
      let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
      return (result.status, try #require(json as? [String: Any], "\(result.errors)"))
    }

    private func disks(_ json: [String: Any]) throws -> [[String: Any]] {
      try #require(json["disks"] as? [[String: Any]])
    }

    /// What the whole disk hashes to, by QEMU's reading of it.
    private func judgement(_ path: String, in lab: Lab) throws -> String {
      let raw = "\(lab.folder)/judge.raw"
      try Tool.must(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw])
      return String(try Tool.must(["sha256sum", raw]).prefix(64))
    }

    @Test(
      "a disk of every kind that QEMU writes hashes to what QEMU reads",
      arguments: [
        "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized",
      ])
    func everyKind(_ subformat: String) throws {
      let lab = try Lab()
      let raw = "\(lab.folder)/content.raw"
      try Tool.must(["qemu-img", "create", "-q", "-f", "raw", raw, "9M"])
      try Tool.must([
        "qemu-io", "-f", "raw", "-c", "write -P 0x41 1M 200k", "-c", "write -P 0x42 8M 1M", raw,
      ])
      try lab.addDisk(subformat: subformat, sizeBytes: 9 << 20, from: raw)
      let path = "\(lab.sourceFolder)/\(lab.diskNames[0])"
      let (status, json) = try document("--sha256", path)
      let disk = try #require(try disks(json).first)
      #expect(status == 0 && json["kind"] as? String == "disk" && json["protectable"] as? Bool == true)
      #expect(disk["sha256"] as? String == (try judgement(path, in: lab)))
      #expect(disk["size_bytes"] as? Int == 9 << 20 && disk["create_type"] as? String == subformat)
      let allocated = try #require(disk["allocated_bytes"] as? Int)
      #expect((200 << 10 + 1 << 20)...(9 << 20) ~= allocated)
    }

    @Test("a chain is shown link by link, and hashes as one disk")
    func chain() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicSparse", sizeBytes: 4 << 20)
      try lab.change(disk: 0, ["write -P 0x41 0 2M"])
      let child = "\(lab.sourceFolder)/\(lab.vmName)-000001.vmdk"
      try Tool.must([
        "qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", lab.diskNames[0], child,
      ])
      try Tool.must(["qemu-io", "-f", "vmdk", "-c", "write -P 0x43 1M 64k", child])
      let (status, json) = try document("--sha256", child)
      let disk = try #require(try disks(json).first)
      let links = try #require(disk["links"] as? [[String: Any]])
      #expect(status == 0 && links.compactMap { $0["create_type"] as? String }.count == 2)
      #expect(links[0]["parent_content_id"] as? String == links[1]["content_id"] as? String)
      #expect(links[0]["allocated_bytes"] as? Int == 64 << 10 && links[1]["parent_content_id"] == nil)
      #expect(disk["allocated_bytes"] as? Int == 2 << 20)
      #expect(disk["sha256"] as? String == (try judgement(child, in: lab)))
      let text = try inspect(child)
      #expect(
        text.status == 0 && text.output.hasSuffix("can be protected\n") && text.output.contains("  parent "))
    }

    @Test("one disk that cannot be protected ends with 65, and the others are shown")
    func oneBadDisk() throws {
      let lab = try Lab()
      for _ in 0..<3 { try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 1 << 20) }
      let vmx = "\(lab.sourceFolder)/\(lab.vmName).vmx"
      try lab.writeVMX(extra: "scsi0:1.sharing = \"multi-writer\"\n")
      let (status, json) = try document("--sha256", vmx)
      #expect(status == 65 && json["protectable"] as? Bool == false)
      #expect(try disks(json).map { $0["state"] as? String } == ["protectable", "refused", "protectable"])
      #expect(try disks(json).allSatisfy { ($0["sha256"] as? String)?.count == 64 })
      let text = try inspect(vmx)
      #expect(text.status == 65 && text.output.contains("problem: scsi0:1: sharing is \"multi-writer\""))
      #expect(text.output.contains("disk scsi0:2  ") && text.output.contains("1 of 3 disk(s)"))
    }

    @Test("the configuration's exclusions and path map count, and --map adds to them")
    func configuration() throws {
      let lab = try Lab()
      for _ in 0..<2 { try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 1 << 20) }
      let elsewhere = "\(lab.folder)/ds2"
      try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
      try Tool.must([
        "qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "\(elsewhere)/data.vmdk",
        "1M",
      ])
      let vmx = "\(lab.sourceFolder)/\(lab.vmName).vmx"
      try lab.writeVMX(
        extra: "scsi0:1.mode = \"independent-nonpersistent\"\nscsi0:2.present = \"TRUE\"\n"
          + "scsi0:2.fileName = \"/vmfs/volumes/ds2/data.vmdk\"\n")
      let config = "\(lab.folder)/inspect.yaml"
      let receiver = """
        receiver:
          address: 127.0.0.1:9
          fingerprint: sha256:\(String(repeating: "ab", count: 32))

        """
      try (receiver + "vms: [{vmx: \(vmx), exclude_disks: [\"scsi0:1\"]}]\n")
        .write(toFile: config, atomically: true, encoding: .utf8)
      #expect(try inspect(vmx).status == 65)
      let unmapped = try document("--config", config, vmx)
      #expect(unmapped.status == 65)
      #expect(
        try disks(unmapped.json).map { $0["state"] as? String } == ["protectable", "excluded", "refused"])
      let mapped = try document("--config", config, "--map", "/vmfs/volumes/ds2=\(elsewhere)", vmx)
      #expect(mapped.status == 0)
      #expect(
        try disks(mapped.json).map { $0["state"] as? String } == ["protectable", "excluded", "protectable"])
      try
        (receiver + "path_map: [{from: /vmfs/volumes/ds2, to: \(elsewhere)}]\n"
        + "vms: [{vmx: \(vmx), exclude_disks: [\"scsi0:1\"]}]\n")
        .write(toFile: config, atomically: true, encoding: .utf8)
      #expect(try inspect("--config", config, vmx).status == 0)
    }

    @Test("what is not there, no disk, or a wrong option each has its exit code and its words")
    func exitCodes() throws {
      let lab = try Lab()
      try "hello\n".write(toFile: "\(lab.sourceFolder)/a.vmdk", atomically: true, encoding: .utf8)
      let missing = try inspect("\(lab.sourceFolder)/b.vmdk")
      #expect(missing.status == 74 && missing.errors.contains("b.vmdk: open failed: No such file"))
      let text = try inspect("\(lab.sourceFolder)/a.vmdk")
      #expect(text.status == 65 && text.output.contains("problem: a.vmdk: "))
      #expect(text.output.hasSuffix("cannot be protected\n"))
      #expect(try inspect("--map", "/a", "\(lab.sourceFolder)/a.vmdk").status == 64)
      #expect(try inspect("--config", "/nowhere.yaml", "\(lab.sourceFolder)/a.vmdk").status == 78)
    }

    @Test("hashing for more than two seconds shows how far it is, on a terminal", .needs("script"))
    func progress() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 1 << 40)
      let path = "\(lab.sourceFolder)/\(lab.diskNames[0])"
      let running = try Running([
        "script", "-qec", "timeout 30 \(Tool.sender) inspect --sha256 \(path)", "/dev/null",
      ])
      defer { running.signal(SIGTERM) }
      try eventually("a line of progress") { running.output.contains("hashed ") }
      #expect(running.output.contains("% ") && running.output.contains("of 1 TiB"))
    }
  }
}
