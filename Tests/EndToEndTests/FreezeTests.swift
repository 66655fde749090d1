import Foundation
import Glibc
import ReplModel
import Testing

/// What a freeze does around the reading of the disks, with each provider.
extension EndToEnd {
  @Suite(.needs("qemu-img", "mkfs.xfs", "mkfs.btrfs", "python3"), .needsLoopMounts, .timeLimit(.minutes(3)))
  struct FreezeTests {
    private func makeLab(_ filesystem: LoopMount.Filesystem = .xfs) throws -> Lab {
      let lab = try Lab(on: try LoopMount(filesystem, sizeGiB: 2))
      if filesystem == .btrfs {
        try FileManager.default.removeItem(atPath: lab.sourceFolder)
        try Tool.must(["btrfs", "subvolume", "create", lab.sourceFolder])
      }
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 16 << 20)
      try lab.addDisk(subformat: "monolithicSparse", sizeBytes: 16 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.change(disk: 1, ["write -P 0x42 3M 1M"])
      return lab
    }

    private func block(_ lines: [String]) -> String {
      "    freeze:\n" + lines.map { "      \($0)" }.joined(separator: "\n")
    }

    /// The disks are in use from now on, as far as anybody can see.
    private func powerOn(_ lab: Lab) throws {
      _ = FileManager.default.createFile(atPath: "\(lab.sourceFolder)/web01-1234.vswp", contents: nil)
    }

    private func names(_ lab: Lab) throws -> Set<String> {
      Set(try FileManager.default.contentsOfDirectory(atPath: lab.sourceFolder))
    }

    @Test("reflink: the hooks run around the clones, know everything of the VM, and nothing stays behind")
    func reflink() throws {
      let lab = try makeLab()
      try powerOn(lab)
      let log = HookLog(lab)
      let clones = "ls -a '\(lab.sourceFolder)' >'\(lab.folder)/seen-'\"$VMREPL_STAGE\""
      let hooks = try log.settings(preFreeze: clones, postThaw: clones)
      try lab.configure(sender: block(["provider: reflink"] + hooks))
      try lab.startReceiver()
      let before = try names(lab)
      let status = try lab.pass()
      try lab.expectIdentical()
      #expect(status.newestPoint?.label == .crashConsistent)
      #expect(try names(lab) == before)
      let lines = log.lines
      #expect(lines.map(\.stage) == ["pre-freeze", "post-thaw"])
      let line = try #require(lines.first)
      #expect(line.id == "564def2d-3fd4-14e2-2e04-c5343aecee65" && line.name == "web01")
      #expect(line.vmx == "\(lab.sourceFolder)/web01.vmx" && line.directory == lab.sourceFolder)
      #expect(line.tag.wholeMatch(of: /vmrepl-[0-9a-f]{8}-[0-9a-f]{8}/) != nil, "\(line.tag)")
      #expect(line.arguments == "web01 \(line.tag)" && lines.last?.tag == line.tag)
      // The clones are made between the hooks.
      for (stage, isThere) in [("pre-freeze", false), ("post-thaw", true)] {
        let seen = try String(contentsOfFile: "\(lab.folder)/seen-\(stage)", encoding: .utf8)
        #expect(seen.contains(".\(line.tag)") == isThere, "\(stage): \(seen)")
      }
      let freeze = try #require(status.lastFreeze)
      let guestHeld = try #require(freeze.guestHeldSeconds)
      #expect(freeze.provider == "reflink" && guestHeld > 0 && freeze.heldSeconds >= guestHeld)
    }

    @Test("a point whose guest was brought to rest by hooks carries the label quiesced")
    func quiesced() throws {
      let lab = try makeLab()
      try powerOn(lab)
      let hooks = try HookLog(lab).settings()
      try lab.configure(sender: block(["provider: reflink", "quiesced: true"] + hooks))
      try lab.startReceiver()
      #expect(try lab.pass().newestPoint?.label == .quiesced)
    }

    @Test("a snapshot is created between the hooks and removed last; the standby gets the VMX from before it")
    func snapshotOrder() throws {
      let lab = try makeLab()
      try powerOn(lab)
      let log = HookLog(lab)
      let host = try VMHost(lab)
      try lab.configure(sender: host.settings(more: try log.settings()))
      try lab.startReceiver()
      let before = try String(contentsOfFile: "\(lab.sourceFolder)/web01.vmx", encoding: .utf8)
      try lab.pass()
      try lab.expectIdentical()
      #expect(log.stages == ["pre-freeze", "post-thaw"])
      #expect(try String(contentsOfFile: "\(lab.sourceFolder)/web01.vmx", encoding: .utf8) == before)
      #expect(try !names(lab).contains { $0.contains("-000001") })
      let stub = try String(contentsOfFile: "\(try lab.standbyFolder)/web01.vmx", encoding: .utf8)
      #expect(!stub.contains("-000001"))
    }

    @Test(
      "snapshots of others stop the provider vmware-snapshot, by name, unless the configuration allows it")
    func foreignSnapshots() throws {
      let lab = try makeLab()
      try powerOn(lab)
      let host = try VMHost(lab)
      try host.snapshot("create", named: "before the upgrade")
      lab.diskNames[0] = "web01-000001.vmdk"
      try lab.configure(sender: host.settings())
      try lab.startReceiver()
      let before = try FolderCensus(of: lab.sourceFolder)
      let refused = try lab.startPass().finish(seconds: 60)
      #expect(refused.status != 0 && refused.errors.contains("before the upgrade"), "\(refused.errors)")
      #expect(refused.errors.contains("foreign_snapshots"), "\(refused.errors)")
      #expect(try FolderCensus(of: lab.sourceFolder).differences(from: before) == [])
      let config = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      try config.replacingOccurrences(
        of: "provider: vmware-snapshot", with: "provider: vmware-snapshot\n      foreign_snapshots: allow"
      ).write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      try lab.pass()
      try lab.expectIdentical()
      let after = try FolderCensus(of: lab.sourceFolder)
      #expect(after.contentDifferences(from: before) == [], "their snapshot is as it was")
    }

    @Test("a command's view of a btrfs subvolume is what the standby gets, whatever the VM writes meanwhile")
    func btrfs() throws {
      let lab = try makeLab(.btrfs)
      try powerOn(lab)
      let log = HookLog(lab)
      let views = "\(lab.folder)/views"
      try FileManager.default.createDirectory(atPath: views, withIntermediateDirectories: true)
      let take = try log.program(
        "take",
        then: "btrfs subvolume snapshot -r \"$VMREPL_DIRECTORY\" '\(views)'/\"$1\" >&2\n"
          // Written after the freeze: it must not be in the point.
          + "qemu-io -f vmdk -c 'write -P 0x99 5M 1M' \"$VMREPL_DIRECTORY/web01.vmdk\" >&2\n"
          + "echo '\(views)'/\"$1\"")
      let release = try log.program("release", then: "btrfs subvolume delete '\(views)'/\"$1\" >&2")
      let provider = [
        "provider: command", "take: {command: [\(take), \"{tag}\"]}",
        "release: {command: [\(release), \"{tag}\"]}",
      ]
      try lab.configure(sender: block(provider + (try log.settings())))
      try lab.startReceiver()
      let frozen = "\(lab.folder)/frozen"
      try Tool.must(["cp", "-a", lab.sourceFolder, frozen])
      let status = try lab.pass()
      for (disk, name) in lab.diskNames.enumerated() {
        let same = try Tool.run(["qemu-img", "compare", "\(frozen)/\(name)", try lab.standbyDisk(disk)])
        #expect(same.status == 0, "disk \(disk): \(same.output)")
      }
      #expect(try !lab.isIdentical(disk: 0))
      #expect(log.stages == ["pre-freeze", "take", "post-thaw", "release"])
      #expect(status.lastFreeze?.provider == "command")
      #expect(try FileManager.default.contentsOfDirectory(atPath: views) == [])
    }

    @Test("a freeze that fails thaws the guest and names the command, its exit code and its words")
    func failingFreeze() throws {
      let lab = try makeLab()
      let log = HookLog(lab)
      let take = try log.program("take", then: "echo 'no space in the volume group' >&2; exit 3")
      let release = try log.program("release", then: ":")
      let provider = [
        "provider: command", "take: {command: [\(take)]}", "release: {command: [\(release), \"{tag}\"]}",
      ]
      try lab.configure(sender: block(provider + (try log.settings())))
      try lab.startReceiver()
      let failed = try lab.startPass().finish(seconds: 60)
      #expect(failed.status == 1, "\(failed.errors)")
      for text in ["web01", "take", "3", "no space in the volume group"] {
        #expect(failed.errors.contains(text), "\(text) in: \(failed.errors)")
      }
      #expect(log.stages.starts(with: ["pre-freeze", "take"]) && log.frozenTags == [], "\(log.stages)")
      let names = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
      #expect(names == [".repl-store"], "nothing was offered")
    }

    @Test("a hook that hangs is ended at its deadline, the guest is thawed, and the pass fails by its name")
    func hangingHook() throws {
      let lab = try makeLab()
      let log = HookLog(lab)
      let hooks = try log.settings(preFreeze: "sleep 300", deadline: "2s")
      try lab.configure(sender: block(["provider: reflink"] + hooks))
      try lab.startReceiver()
      let began = Date()
      let failed = try lab.startPass().finish(seconds: 60)
      // Retries of the pass may add some.
      #expect(Date().timeIntervalSince(began) < 45)
      #expect(failed.status == 1 && failed.errors.contains("pre_freeze"), "\(failed.errors)")
      #expect(!log.lines.isEmpty && log.frozenTags == [], "\(log.stages)")
    }

    @Test("a thaw that fails is an error a person sees, and the point made from that freeze is kept")
    func failingThaw() throws {
      let lab = try makeLab()
      let log = HookLog(lab)
      let hooks = try log.settings(postThaw: "echo 'guest does not answer' >&2; exit 9")
      try lab.configure(sender: block(["provider: reflink"] + hooks))
      try lab.startReceiver()
      let result = try lab.startPass().finish(seconds: 60)
      #expect(result.errors.contains("guest does not answer") && result.errors.contains("9"))
      #expect(log.stages.starts(with: ["pre-freeze", "post-thaw"]))
    }
  }
}
