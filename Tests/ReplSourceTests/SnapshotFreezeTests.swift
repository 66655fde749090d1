import Foundation
import ReplCommand
import ReplIO
import ReplModel
import Testing

@testable import ReplSource

@Suite("The provider vmware-snapshot", .needs("qemu-img")) struct SnapshotFreezeTests {
  /// A host that switches both disks to deltas made by qemu-img and lists the snapshot in the .vmsd.
  private static let create = """
    set -e; cd "$3"
    for d in web data; do
      qemu-img create -q -f vmdk -F vmdk -b $d.vmdk $d-000001.vmdk
      sed -i "s/\\"$d.vmdk\\"/\\"$d-000001.vmdk\\"/" web.vmx
    done
    printf 'snapshot.numSnapshots = "1"\\nsnapshot0.uid = "1"\\nsnapshot0.displayName = "%s"\\n' $5 > web.vmsd
    """
  private static let remove = """
    set -e; cd "$3"
    if ! grep -q "\\"$5\\"" web.vmsd; then echo no such snapshot >&2; exit 9; fi
    sed -i 's/-000001.vmdk/.vmdk/' web.vmx; rm -f web-000001.vmdk data-000001.vmdk
    printf 'snapshot.numSnapshots = "0"\\n' > web.vmsd
    """

  private func settings(
    _ lab: FreezeLab, create: String = Self.create, remove: String = Self.remove, quiesced: Bool = false
  ) throws -> FreezeSettings {
    FreezeSettings(
      provider: .vmwareSnapshot(create: try lab.command(create), remove: try lab.command(remove)),
      quiesced: quiesced)
  }

  private func text(_ lab: FreezeLab, _ name: String) throws -> String {
    try String(contentsOfFile: "\(lab.folder.path)/\(name)", encoding: .utf8)
  }

  @Test("the chain below the snapshot is read, the VMX from before is sent, and the snapshot is removed")
  func snapshot() async throws {
    let lab = try FreezeLab()
    // A running VM is no obstacle.
    try lab.folder.write("web-1.vswp", [])
    let before = try text(lab, "web.vmx")
    let view = try await lab.take(try settings(lab, quiesced: true))
    #expect(try text(lab, "web.vmx").contains("web-000001.vmdk"))
    #expect(String(decoding: view.vmx, as: UTF8.self) == before)
    #expect(view.label == .quiesced && view.disks.count == 2)
    #expect(try firstBytes(of: view).allSatisfy { $0 == 7 })
    try view.checkUnchanged()
    let hold = try await lab.release(view)
    #expect(hold.guestHeldSeconds == nil && lab.log == ["create", "remove"])
    #expect(try text(lab, "web.vmx") == before && lab.ledger == [])
  }

  @Test("a write to the chain below, or a new content identity, abandons the pass")
  func changed() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab))
    try lab.folder.write("web-flat.vmdk", [UInt8](repeating: 8, count: 1 << 20))
    #expect(throws: SourceError.self) { try view.checkUnchanged() }
    _ = try await lab.release(view)
    #expect(lab.ledger == [])
  }

  @Test("snapshots of other programs are named and refused before the command, or allowed")
  func foreign() async throws {
    let lab = try FreezeLab()
    let list = "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"4\"\nsnapshot0.displayName = \"veeam\"\n"
    try lab.folder.write("web.vmsd", Array(list.utf8))
    let error = try await lab.refusal(try settings(lab))
    #expect("\(error)".contains("veeam") && "\(error)".contains("foreign_snapshots"), "\(error)")
    #expect(lab.log == [] && lab.ledger == [])
    var allowing = try settings(lab)
    allowing.foreignSnapshots = .allow
    _ = try await lab.release(try await lab.take(allowing))
    #expect(lab.log == ["create", "remove"])
  }

  @Test("a chain that no snapshot explains is refused")
  func leftDelta() async throws {
    let lab = try FreezeLab()
    try await SystemTool.run("sh", "-c", "set -- sh v '\(lab.folder.path)' i tag; \(Self.create)")
    try lab.folder.remove("web.vmsd")
    let error = try await lab.refusal(try settings(lab))
    #expect("\(error)".contains("web-000001.vmdk") || "\(error)".contains("delta"), "\(error)")
    #expect(lab.log == [])
  }

  @Test("a command that does not switch the disks is an error, and what it made is removed")
  func notSwitched() async throws {
    let lab = try FreezeLab()
    let half = Self.create + "\nsed -i 's/data-000001.vmdk/data.vmdk/' web.vmx"
    let error = try await lab.refusal(try settings(lab, create: half))
    #expect("\(error)".contains("scsi0:1") && "\(error)".contains("data.vmdk"), "\(error)")
    #expect(lab.log == ["create", "remove"] && lab.ledger == [])
    #expect(try !text(lab, "web.vmx").contains("000001"))
  }

  @Test("a create command that fails is looked after once more; one that failed half-way is undone")
  func createFails() async throws {
    let lab = try FreezeLab()
    let error = try await lab.refusal(try settings(lab, create: "echo quota >&2; exit 4"))
    #expect("\(error)".contains("freeze.create") && "\(error)".contains("quota"))
    // Its connection may have been cut while the host goes on.
    #expect(lab.log == ["create"] && lab.records.count == 1)
    _ = try await lab.refusal(try settings(lab, create: Self.create + "\nexit 1"))
    #expect(lab.log == ["create", "create", "remove"] && lab.ledger == [])
    #expect(try !text(lab, "web.vmx").contains("000001"))
  }

  @Test("a removal that fails is said, and tried again before the next freeze, with the snapshot's own tag")
  func removeFails() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab, remove: "echo busy >&2; exit 1"))
    await #expect(throws: SourceError.self) { try await lab.release(view) }
    #expect(lab.records.count == 1)
    let error = try await lab.refusal(try settings(lab, remove: "true"))
    #expect("\(error)".contains("still has the snapshot"), "\(error)")
    _ = try await lab.release(try await lab.take(try settings(lab)))
    let vmx = try text(lab, "web.vmx")
    #expect(lab.ledger == [] && !vmx.contains("000001"))
  }

  @Test("a VM whose VMX was renamed while it was frozen gets its snapshot removed before the next freeze")
  func renamed() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab))
    for name in ["vmx", "vmsd"] {
      try #require(rename("\(lab.folder.path)/web.\(name)", "\(lab.folder.path)/new.\(name)") == 0)
    }
    await #expect(throws: SourceError.self) { try await lab.release(view) }
    #expect(lab.records.count == 1)
    func renaming(_ script: String) -> String {
      script.replacing("web.vmx", with: "new.vmx").replacing("web.vmsd", with: "new.vmsd")
    }
    var request = lab.request(
      try settings(lab, create: renaming(Self.create), remove: renaming(Self.remove)))
    request.vmxPath = "\(lab.folder.path)/new.vmx"
    _ = try await lab.release(try await lab.take(request))
    #expect(lab.log == ["create", "remove", "create", "remove"] && lab.ledger == [])
    #expect(try !text(lab, "new.vmx").contains("000001"))
  }

  @Test("a VM that has the path of another one now is left alone, and the other's snapshot is told")
  func recreated() async throws {
    let lab = try FreezeLab()
    var view: VMView? = try await lab.take(try settings(lab))
    view = nil
    #expect(view == nil)
    let other = try text(lab, "web.vmx").replacing("uuid.bios = \"56", with: "uuid.bios = \"57")
    try lab.folder.write("web.vmx", Array(other.utf8))
    let report = try #require(try await lab.clean(try settings(lab)).first)
    #expect(!report.isRemoved && report.text.contains("another VM has this path"), "\(report.text)")
    #expect(lab.log == ["create"] && lab.records.count == 1)
  }

  @Test("after a crash the snapshot is removed; one that somebody removed is not asked for")
  func crash() async throws {
    let lab = try FreezeLab()
    var view: VMView? = try await lab.take(try settings(lab))
    view = nil
    #expect(view == nil)
    #expect(try await lab.clean(try settings(lab)).map(\.isRemoved) == [true])
    #expect(lab.log == ["create", "remove"] && lab.ledger == [])
    view = try await lab.take(try settings(lab))
    let tag = try lab.tag()
    view = nil
    try await SystemTool.run("sh", "-c", "set -- sh n '\(lab.folder.path)' i \(tag); \(Self.remove)")
    #expect(try await lab.clean(try settings(lab)).map(\.isRemoved) == [true])
    #expect(lab.log == ["create", "remove", "create"] && lab.ledger == [])
  }

  @Test("a create that was cut off is looked for twice before it is forgotten")
  func lateSnapshot() async throws {
    let lab = try FreezeLab()
    var hanging = try settings(lab)
    hanging.provider = .vmwareSnapshot(
      create: try lab.command("sleep 60", deadline: 0.3), remove: try lab.command(Self.remove))
    _ = try await lab.refusal(hanging)
    #expect(lab.log == ["create"] && lab.records.count == 1)
    // The host makes it after all.
    let tag = try lab.tag()
    try await SystemTool.run("sh", "-c", "set -- v n '\(lab.folder.path)' i \(tag); \(Self.create)")
    #expect(try await lab.clean(try settings(lab)).map(\.isRemoved) == [true])
    #expect(lab.log == ["create", "remove"] && lab.ledger == [])
  }

  @Test("a running VM with an independent disk is refused; excluded or powered off it is not")
  func independent() async throws {
    let lab = try FreezeLab(
      PrimaryFolder(disks: ["web", "data"], extra: "scsi0:1.mode = \"independent-persistent\"\n"))
    try lab.folder.write("web-1.vswp", [])
    let error = try await lab.refusal(try settings(lab))
    #expect("\(error)".contains("scsi0:1") && error.remedy == .stopVM && lab.log == [])
    var request = lab.request(try settings(lab))
    request.excludedDisks = [.slot(DiskSlot("scsi0:1")!)]
    let view = try await lab.take(request)
    #expect(view.excluded == [DiskSlot("scsi0:1")!] && view.disks.count == 1)
    _ = try await lab.release(view)
  }
}
