import Foundation
import Glibc
import ReplCommand
import ReplIO
import ReplModel
import Testing

@testable import ReplSource

@Suite("The ledger of freezes and the janitor") struct FreezeLedgerTests {
  private func settings(_ lab: FreezeLab, pre: String = "", post: String = "") throws -> FreezeSettings {
    FreezeSettings(
      provider: try lab.storage(), preFreeze: try lab.command(pre), postThaw: try lab.command(post))
  }

  private func record(_ lab: FreezeLab) throws -> FreezeRecord {
    let tag = try lab.tag()
    return try FreezeLedger(directory: PosixDirectory(path: "\(lab.folder.path)/state")).read(tag)
  }

  @Test("the ledger is written before the first hook and shortened after the thaw")
  func steps() async throws {
    let lab = try FreezeLab()
    let look = "cat '\(lab.folder.path)'/state/*.json"
    let view = try await lab.take(try settings(lab, pre: look))
    let said = try #require(lab.events.withLock { $0 }.first { $0.stage == .preFreeze }).text
    #expect(said.contains("postThaw") && said.contains("release"), "\(said)")
    let record = try record(lab)
    #expect(record.postThaw == nil && record.release != nil && record.vmxPath == lab.folder.vmxPath)
    _ = try await lab.release(view)
    #expect(lab.ledger == [])
  }

  @Test("what a dropped freeze left is undone at the next start")
  func crash() async throws {
    let lab = try FreezeLab()
    var view: VMView? = try await lab.take(try settings(lab))
    #expect(view != nil && lab.mounted.count == 1)
    view = nil
    let reports = try await lab.clean(try settings(lab))
    #expect(reports.map(\.isRemoved) == [true])
    #expect(lab.mounted == [] && lab.ledger == [])
    #expect(lab.log == ["pre-freeze", "take", "post-thaw", "release"])
    #expect(try await lab.clean(try settings(lab)) == [])
  }

  @Test(
    "a crash between the hooks: the guest is thawed at the next start, with the VM no longer configured too")
  func crashWhileFrozen() async throws {
    let lab = try FreezeLab()
    let ledger = try FreezeLedger(directory: PosixDirectory(path: "\(lab.folder.path)/state"))
    try crashAfterPreFreeze(lab, ledger)
    #expect(lab.records.count == 1)
    #expect(try await lab.clean([ViewRequest]()).map(\.isRemoved) == [true])
    #expect(lab.log == ["post-thaw", "release"] && lab.ledger == [])
  }

  /// As a process that was killed while the pre-freeze hook ran.
  private func crashAfterPreFreeze(_ lab: FreezeLab, _ ledger: FreezeLedger, taking: Bool = false) throws {
    let entry = try ledger.begin()
    var record = FreezeRecord(
      tag: entry.tag, vmxPath: lab.folder.vmxPath, vm: .random(), displayName: "web", provider: "command",
      begunAt: SystemTime().wallTime())
    let commands = FreezeCommands(record, time: SystemTime(), ending: FreezeEnding(), report: { _ in })
    record.postThaw = commands.filled(try lab.command())
    record.release = commands.filled(try lab.command())
    record.mayBeTaking = taking
    try entry.write(record)
  }

  @Test("a freeze that is alive is left alone, by this process and by another one")
  func alive() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab))
    #expect(try await lab.clean(try settings(lab)) == [])
    let other = try ViewFreezer(directory: try PosixDirectory(path: "\(lab.folder.path)/state"))
    let request = lab.request(try settings(lab))
    #expect(try await NamedThread.run("clean") { other.clean([request]) } == [])
    #expect(lab.mounted.count == 1)
    try view.checkUnchanged()
    _ = try await lab.release(view)
    #expect(lab.mounted == [])
  }

  @Test("a hook that outlived its sender is waited for before the guest is thawed")
  func strayHook() async throws {
    let lab = try FreezeLab()
    let ledger = try FreezeLedger(directory: PosixDirectory(path: "\(lab.folder.path)/state"))
    try crashAfterPreFreeze(lab, ledger)
    let tag = try lab.tag()
    let hook = Process()
    hook.executableURL = URL(fileURLWithPath: "/bin/sh")
    hook.arguments = ["-c", "sleep 0.7; echo frozen >> '\(lab.logPath)'"]
    hook.environment = ["VMREPL_TAG": "\(tag)", "VMREPL_STAGE": "pre-freeze", "PATH": "/bin:/usr/bin"]
    try hook.run()
    _ = try await lab.clean([ViewRequest]())
    hook.waitUntilExit()
    #expect(lab.log == ["frozen", "post-thaw", "release"])
  }

  @Test("a take that outlived its sender is waited for before the release, which would miss what it makes")
  func strayTake() async throws {
    let lab = try FreezeLab()
    let ledger = try FreezeLedger(directory: PosixDirectory(path: "\(lab.folder.path)/state"))
    try crashAfterPreFreeze(lab, ledger, taking: true)
    let take = Process()
    take.executableURL = URL(fileURLWithPath: "/bin/sh")
    take.arguments = ["-c", "sleep 0.7; echo taken >> '\(lab.logPath)'"]
    take.environment = ["VMREPL_TAG": "\(try lab.tag())", "VMREPL_STAGE": "take", "PATH": "/bin:/usr/bin"]
    try take.run()
    _ = try await lab.clean([ViewRequest]())
    take.waitUntilExit()
    #expect(lab.log == ["taken", "post-thaw", "release"])
    // The storage may go on by itself.
    _ = try await lab.clean([ViewRequest]())
    #expect(lab.log.dropFirst(3) == ["release"] && lab.ledger == [])
  }

  @Test("a record that does not parse is reported with what to do, and stays")
  func damaged() async throws {
    let lab = try FreezeLab()
    let tag = FreezeTag(installation: "01234567")
    try lab.folder.write("state/\(tag).json", Array("{".utf8))
    let reports = try await lab.clean(try settings(lab))
    #expect(reports.map(\.isRemoved) == [false])
    #expect(reports.first?.text.contains("by hand") == true)
    #expect(lab.records == ["\(tag).json"])
    // It does not keep the VM from being frozen, and is not held against it: it may be any VM's.
    lab.events.withLock { $0 = [] }
    _ = try await lab.release(try await lab.take(try settings(lab)))
    #expect(!lab.events.withLock { $0 }.contains { $0.level != .info })
    #expect(lab.records == ["\(tag).json"])
  }

  @Test("whose a record is is known without reading it again, until it is gone")
  func owners() throws {
    let lab = try FreezeLab()
    let directory = try PosixDirectory(path: "\(lab.folder.path)/state")
    let (ledger, other) = (lab.freezer.ledger, try FreezeLedger(directory: directory))
    try crashAfterPreFreeze(lab, ledger)
    let tag = try lab.tag()
    let record = try other.read(tag)
    try lab.folder.write("state/\(tag).json", Array("{".utf8))
    for one in [ledger, other] { #expect(try one.owner(of: tag) == FreezeLedger.Owner(record)) }
    #expect(throws: IOError.self) { try FreezeLedger(directory: directory).owner(of: tag) }
    try #require(try ledger.claim(tag)).forget()
    #expect(throws: IOError.self) { try ledger.owner(of: tag) }
    #expect(try other.tags() == [])
    #expect(throws: IOError.self) { try other.owner(of: tag) }
  }

  @Test("stray locks and half-written records are removed at the start; the installation stays the same")
  func strayFiles() async throws {
    let lab = try FreezeLab()
    let tag = FreezeTag(installation: "01234567")
    try lab.folder.write("state/\(tag).lock", [])
    try lab.folder.write("state/\(tag).json.new", Array("{".utf8))
    let directory = try PosixDirectory(path: "\(lab.folder.path)/state")
    let again = try FreezeLedger(directory: directory)
    #expect(lab.ledger == [])
    #expect(again.installation == lab.freezer.ledger.installation)
    try lab.folder.write("state/installation", Array("../../etc".utf8))
    #expect(throws: IOError.self) { try FreezeLedger(directory: directory) }
  }

  @Test("clones of this installation that no record names are removed, others and foreign files are not")
  func undeclared() async throws {
    let lab = try FreezeLab()
    let ours = FreezeTag(installation: lab.freezer.ledger.installation)
    let other = FreezeTag(installation: ours.installation == "01234567" ? "76543210" : "01234567")
    for tag in [ours, other] {
      try #require(mkdir("\(lab.folder.path)/\(tag.directoryName)", 0o700) == 0)
      try lab.folder.write("\(tag.directoryName)/\(tag.cloneName(0))", [1])
    }
    #expect(try await lab.clean(try settings(lab)).map(\.isRemoved) == [true])
    #expect(lab.tagged == [other.directoryName])
    try #require(mkdir("\(lab.folder.path)/\(ours.directoryName)", 0o700) == 0)
    try lab.folder.write("\(ours.directoryName)/\(ours.cloneName(3))", [1])
    try lab.folder.write("\(ours.directoryName)/notes.txt", [2])
    let reports = try await lab.clean(try settings(lab))
    #expect(reports.map(\.isRemoved) == [false])
    #expect(reports.first?.text.contains("notes.txt") == true)
    let left = try PosixDirectory(path: "\(lab.folder.path)/\(ours.directoryName)").entryNames()
    #expect(left == ["notes.txt"])
  }

  @Test(
    "only exact tags are ours",
    arguments: [
      "vmrepl-0123456-01234567", "vmrepl-01234567-0123456g", "vmrepl-01234567", "VMREPL-01234567-01234567",
      "vmrepl-01234567-01234567-x", "",
    ])
  func tags(text: String) {
    #expect(FreezeTag(text) == nil)
    let tag = FreezeTag(installation: "01234567")
    #expect(FreezeTag(tag.description) == tag && FreezeTag(directoryName: tag.directoryName) == tag)
    #expect(tag.names(clone: tag.cloneName(12)) && !tag.names(clone: "\(tag)-.clone"))
    #expect(!tag.names(clone: "\(tag)-1.clone.bak") && !tag.names(clone: "\(tag)-x.clone"))
  }
}
