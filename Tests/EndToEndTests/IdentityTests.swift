import Foundation
import Glibc
import ReplModel
import ReplService
import Testing

/// Watched folders, and VMs that move, are renamed, re-created or vanish, with the two real executables.
extension EndToEnd {
  @Suite(.needs("qemu-img", "qemu-io")) struct IdentityTests {
    /// One VM beneath `primary`, which is watched instead of naming the VM.
    private func makeLab(_ policy: String, extra: String = "") throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 64k"])
      try lab.configure(sender: extra)
      try rewrite(lab.senderConfig) {
        $0.replacingOccurrences(
          of: "vms:\n  - vmx: \(lab.sourceFolder)/web01.vmx",
          with: "rescan: 1s\nfolders:\n  - {path: \(lab.folder)/primary, policy: \(policy), "
            + "exclude: [\"templates\"]}")
      }
      try lab.startReceiver()
      return lab
    }

    private func rewrite(_ path: String, _ change: (String) -> String) throws {
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let changed = change(text)
      #expect(changed != text, "nothing to change in \(path)")
      try changed.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func document(_ lab: Lab) throws -> StatusDocument {
      let text = try Tool.must([Tool.sender, "status", "--json", "--config", lab.senderConfig])
      return try StatusJSON.decode(Array(text.utf8))
    }

    private func standbys(_ lab: Lab) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder).filter { !$0.hasPrefix(".") }
        .sorted()
    }

    /// Another UUID for the VMX at this path.
    private func giveNewUUID(_ path: String) throws {
      try rewrite(path) { $0.replacingOccurrences(of: "56 4d ef 2d", with: "56 4d 00 01") }
    }

    @Test("a VM that is moved and renamed within a watched folder keeps its standby and its history")
    func movedInFolder() throws {
      let lab = try makeLab("protect")
      let first = try lab.pass()
      #expect(first.newestPoint?.reference.number == 1)
      let moved = "\(lab.folder)/primary/group/shop"
      try FileManager.default.createDirectory(
        atPath: "\(lab.folder)/primary/group", withIntermediateDirectories: true)
      try FileManager.default.moveItem(atPath: lab.sourceFolder, toPath: moved)
      try FileManager.default.moveItem(atPath: "\(moved)/web01.vmx", toPath: "\(moved)/shop.vmx")
      try rewrite("\(moved)/shop.vmx") {
        $0.replacingOccurrences(of: "displayName = \"web01\"", with: "displayName = \"shop\"")
      }
      let second = try lab.pass()
      #expect(second.vm == first.vm && second.name == "shop")
      #expect(second.newestPoint?.reference.number == 2 && second.lastPass?.changedBytes == 0)
      #expect(try standbys(lab).count == 1)
      #expect(try document(lab).vms.map(\.state) == [.idle])
    }

    @Test("an operator who corrects the path in the configuration keeps the VM's standby and history")
    func correctedPath() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try FileManager.default.moveItem(atPath: lab.sourceFolder, toPath: "\(lab.folder)/elsewhere")
      #expect(try lab.startPass().finish(seconds: 60).status == 1)
      #expect(try document(lab).vms.map(\.state) == [.failing])
      try rewrite(lab.senderConfig) {
        $0.replacingOccurrences(of: lab.sourceFolder, with: "\(lab.folder)/elsewhere")
      }
      let status = try lab.pass()
      #expect(status.newestPoint?.reference.number == 2)
      #expect(try standbys(lab).count == 1)
    }

    @Test(
      "a re-created VM at the same path has a standby of its own; the old one is gone until it is forgotten")
    func recreated() throws {
      let lab = try makeLab("protect")
      let old = try lab.pass()
      let oldStandby = try #require(try standbys(lab).first)
      let disk = "\(lab.storeFolder)/\(oldStandby)/scsi0-0-flat.vmdk"
      let before = try Data(contentsOf: URL(fileURLWithPath: disk))
      try giveNewUUID("\(lab.sourceFolder)/web01.vmx")
      try lab.change(disk: 0, ["write -P 0x77 0 128k"])
      let result = try lab.startPass().finish(seconds: 60)
      #expect(result.status == 1, "a protected VM is missing: \(result.errors)")
      #expect(result.errors.contains("is another VM now"))
      #expect(try standbys(lab).count == 2)
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: disk)) == before, "the old standby is never overwritten")
      let vms = try document(lab).vms
      let gone = try #require(vms.first { $0.vm == old.vm })
      #expect(vms.count == 2 && gone.state == .failing && gone.newestPoint != nil)
      #expect(gone.lastFailure?.cause.contains("repl-sender forget \(old.vm)") == true)
      let refused = try Tool.run(
        [Tool.sender, "forget", "\(old.vm)", "--config", lab.senderConfig], input: "no\n")
      #expect(refused.status == 77)
      #expect(try document(lab).vms.count == 2)
      try Tool.must([Tool.sender, "forget", "\(old.vm)", "--yes", "--config", lab.senderConfig])
      #expect(try document(lab).vms.map(\.state) == [.idle])
      #expect(try lab.pass().newestPoint?.reference.number == 2)
      #expect(try standbys(lab).count == 2)
    }

    @Test("a VM that vanishes from a watched folder is gone, and goes on when it is back")
    func vanished() throws {
      let lab = try makeLab("protect")
      let first = try lab.pass()
      let aside = "\(lab.folder)/aside"
      try FileManager.default.moveItem(atPath: lab.sourceFolder, toPath: aside)
      let result = try lab.startPass().finish(seconds: 60)
      #expect(result.status == 1 && result.errors.contains("is no longer there"))
      let gone = try #require(try document(lab).vms.first)
      #expect(gone.vm == first.vm && gone.state == .failing && gone.name == "web01")
      try FileManager.default.moveItem(atPath: aside, toPath: lab.sourceFolder)
      let back = try lab.pass()
      #expect(back.vm == first.vm && back.newestPoint?.reference.number == 2 && back.lastFailure == nil)
    }

    @Test("what is found and not protected is in the status, in discover, and in the run's output")
    func found() throws {
      let lab = try makeLab("report")
      for name in ["templates/t", "broken"] {
        try FileManager.default.createDirectory(
          atPath: "\(lab.folder)/primary/\(name)", withIntermediateDirectories: true)
      }
      try FileManager.default.copyItem(
        atPath: "\(lab.sourceFolder)/web01.vmx", toPath: "\(lab.folder)/primary/templates/t/t.vmx")
      try "displayName = \"broken\"\n".write(
        toFile: "\(lab.folder)/primary/broken/broken.vmx", atomically: true, encoding: .utf8)
      let run = try lab.startPass().finish(seconds: 60)
      #expect(run.status == 0 && run.errors.contains("2 VM(s) found and not protected"), "\(run.errors)")
      let vms = try document(lab).vms
      #expect(vms.map(\.state) == [.found, .found])
      let web = try #require(vms.first { $0.name == "web01" })
      #expect(web.found?.configLine == "- \(lab.sourceFolder)/web01.vmx" && web.lastFailure == nil)
      let table = try Tool.must([Tool.sender, "status", "--config", lab.senderConfig])
      #expect(table.contains("found-not-protected") && table.contains("- \(lab.sourceFolder)/web01.vmx"))
      let json = try Tool.must([Tool.sender, "discover", "--json", "--config", lab.senderConfig])
      for part in [
        "\"standing\" : \"excluded\"", "\"standing\" : \"found-not-protected\"", "not-protectable",
      ] {
        #expect(json.contains(part), "\(part) in \(json)")
      }
      let named = try Tool.run([Tool.sender, "run", "--once", "web01", "--config", lab.senderConfig])
      #expect(named.status == 64 && named.errors.contains("found and not protected"))
      #expect(try standbys(lab).isEmpty)
    }

    @Test("a running daemon protects a VM that appears in a watched folder, and drops no other meanwhile")
    func daemon() throws {
      let lab = try makeLab("protect", extra: "interval: 10s\nmax_concurrent_passes: 1")
      let sender = try Running([Tool.sender, "run", "--config", lab.senderConfig])
      defer { sender.signal(SIGKILL) }
      try eventually("the first point") { sender.errors.contains("pass-committed") }
      let copy = "\(lab.folder)/primary/new"
      try FileManager.default.copyItem(atPath: lab.sourceFolder, toPath: "\(lab.folder)/new")
      try giveNewUUID("\(lab.folder)/new/web01.vmx")
      try rewrite("\(lab.folder)/new/web01.vmx") {
        $0.replacingOccurrences(of: "displayName = \"web01\"", with: "displayName = \"new\"")
      }
      // In one step, as storage that is moved appears.
      #expect(rename("\(lab.folder)/new", copy) == 0)
      try eventually("the new VM's point") {
        sender.errors.split(separator: "\n").contains {
          $0.contains("pass-committed") && $0.contains("vm=new")
        }
      }
      try eventually("its standby") { try standbys(lab).contains { $0.hasPrefix("new") } }
      try FileManager.default.removeItem(atPath: copy)
      try eventually("it is gone") { sender.errors.contains("vm-gone") }
      try lab.change(disk: 0, ["write -P 0x66 1M 64k"])
      let count = sender.errors.components(separatedBy: "vm=web01").count
      try eventually("the other goes on") { sender.errors.components(separatedBy: "vm=web01").count > count }
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 10).status == 0)
      let states = try document(lab).vms.map { "\($0.name) \($0.state.rawValue)" }
      #expect(states == ["new failing", "web01 idle"])
    }

    @Test(
      "a disk that is added delays no point, is shown while it seeds, and joins; an excluded one is left out")
    func addedDisk() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.configure(sender: "    exclude_disks: [\"scsi0:2\"]")
      try lab.startReceiver()
      try lab.pass()
      for size in [8 << 20, 2 << 20] { try lab.addDisk(subformat: "monolithicFlat", sizeBytes: size) }
      try lab.change(disk: 1, ["write -P 0x51 0 5M"])
      try lab.writeVMX()
      let second = try lab.pass()
      let slots = (second.disks ?? []).map { "\($0.slot) \($0.state.rawValue)" }
      #expect(slots == ["scsi0:0 ready", "scsi0:1 seeding", "scsi0:2 excluded"])
      #expect(second.newestPoint?.reference.number == 2 && second.lastFailure == nil)
      #expect(second.disks?[1].seededBytes == 8 << 20, "one round after the commit of a small disk")
      let third = try lab.pass()
      let states = (third.disks ?? []).map(\.state)
      #expect(states == [.ready, .ready, .excluded] && third.newestPoint?.reference.number == 3)
      #expect(try lab.isIdentical(disk: 0) && lab.isIdentical(disk: 1))
      let table = try Tool.must([Tool.sender, "status", "--config", lab.senderConfig])
      #expect(table.contains("scsi0:2: not replicated (exclude_disks)"))
    }
  }
}
