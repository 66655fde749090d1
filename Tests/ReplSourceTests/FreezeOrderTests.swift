import Foundation
import ReplCommand
import ReplIO
import ReplModel
import ReplVMDK
import Testing

@testable import ReplSource

@Suite("The order of a freeze") struct FreezeOrderTests {
  private func settings(
    _ lab: FreezeLab, take: String = "", release: String = "", pre: String = "", post: String = "",
    deadline: Double = 20
  ) throws -> FreezeSettings {
    FreezeSettings(
      provider: try lab.storage(take: take, release: release), quiesced: true,
      preFreeze: try lab.command(pre, deadline: deadline), postThaw: try lab.command(post))
  }

  @Test("pre-freeze, take, post-thaw, read, release; the times are told and nothing is left")
  func order() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab))
    #expect(lab.log == ["pre-freeze", "take", "post-thaw"])
    #expect(view.label == .quiesced)
    #expect(try firstBytes(of: view).allSatisfy { $0 == 7 })
    try view.checkUnchanged()
    #expect(lab.records.count == 1 && lab.mounted.count == 1)
    let hold = try await lab.release(view)
    #expect(lab.log == ["pre-freeze", "take", "post-thaw", "release"])
    #expect(hold.heldSeconds >= hold.guestHeldSeconds ?? 1e9)
    #expect(try await lab.release(view) == hold)
    #expect(lab.log.count == 4 && lab.ledger == [] && lab.mounted == [])
  }

  @Test("every command gets its stage, the VM and the tag in its environment, and the same in its arguments")
  func environment() async throws {
    let lab = try FreezeLab()
    let print =
      "echo \"$VMREPL_VM_ID|$VMREPL_VM_NAME|$VMREPL_VMX|$VMREPL_DIRECTORY|$VMREPL_TAG\"; "
      + "echo \"$4|$2|$1|$3|$5\""
    _ = try await lab.release(try await lab.take(try settings(lab, pre: print)))
    let said = try #require(lab.events.withLock { $0 }.first { $0.stage == .preFreeze }).text
    let parts = (said.components(separatedBy: "said: ").last ?? "").split(separator: "?")
    #expect(parts.count == 2 && parts.first == parts.last, "\(said)")
    let fields = try #require(parts.first).split(separator: "|").map { String($0) }
    #expect(
      fields.dropLast() == [
        "\(VMID(PrimaryFolder.uuid)!)", "web", lab.folder.vmxPath, lab.folder.path,
      ])
    #expect(FreezeTag(fields.last ?? "") != nil)
  }

  @Test(
    "a powered-off VM with hooks, of either kind or both, is frozen and released, and nothing is left",
    arguments: [(true, false), (false, true), (true, true)])
  func hooksAlone(hasPre: Bool, hasPost: Bool) async throws {
    let lab = try FreezeLab()
    let settings = FreezeSettings(
      provider: .none, preFreeze: hasPre ? try lab.command() : nil,
      postThaw: hasPost ? try lab.command() : nil)
    for _ in 0..<2 { _ = try await lab.release(try await lab.take(settings)) }
    let once = (hasPre ? ["pre-freeze"] : []) + (hasPost ? ["post-thaw"] : [])
    #expect(lab.log == once + once && lab.ledger == [])
  }

  @Test("a pre-freeze hook that fails: no pass, and the post-thaw hook runs all the same")
  func preFreezeFails() async throws {
    let lab = try FreezeLab()
    let error = try await lab.refusal(try settings(lab, pre: "echo no agent >&2; exit 3"))
    #expect("\(error)".contains("freeze.pre_freeze") && "\(error)".contains("no agent"))
    #expect("\(error)".contains("ended with status 3") && error.remedy == .abandonPass)
    #expect(lab.log == ["pre-freeze", "post-thaw", "release"] && lab.ledger == [])
  }

  @Test("a pre-freeze hook that does not end is killed at its deadline, and the guest is thawed")
  func preFreezeHangs() async throws {
    let lab = try FreezeLab()
    let error = try await lab.refusal(try settings(lab, pre: "sleep 60", deadline: 0.5))
    #expect("\(error)".contains("freeze.pre_freeze") && "\(error)".contains("did not end within 0.5 s"))
    #expect(lab.log == ["pre-freeze", "post-thaw", "release"] && lab.ledger == [])
  }

  @Test("a take that fails: the guest is thawed, and the release runs, once more before the next freeze")
  func takeFails() async throws {
    let lab = try FreezeLab()
    let error = try await lab.refusal(try settings(lab, take: "echo no space >&2; exit 5"))
    #expect("\(error)".contains("no space") && "\(error)".contains("freeze.take"), "\(error)")
    #expect(lab.log == ["pre-freeze", "take", "post-thaw", "release"] && lab.records.count == 1)
    _ = try await lab.release(try await lab.take(try settings(lab)))
    #expect(lab.log.dropFirst(4) == ["release", "pre-freeze", "take", "post-thaw", "release"])
    #expect(lab.ledger == [] && lab.mounted == [])
  }

  @Test("what a storage makes after its take was cut off is released before the next freeze")
  func takeComesLate() async throws {
    let lab = try FreezeLab()
    // The other end of a connection: no part of the command that is killed, and later than the release.
    let released = "\(lab.folder.path)/state/released"
    let late =
      "env -i PATH=/usr/bin:/bin setsid sh -c \"until [ -e '\(released)' ]; do sleep 0.05; done; "
      + "mkdir '\(lab.mounts)/$5'\" >/dev/null 2>&1 & sleep 60"
    var settings = try settings(lab)
    settings.provider = .command(
      take: try lab.command(late, deadline: 0.5),
      release: try lab.command("rm -rf '\(lab.mounts)'/$5; touch '\(released)'"))
    _ = try await lab.refusal(settings)
    #expect(lab.records.count == 1)
    let end = Date().addingTimeInterval(60)
    while lab.mounted == [], Date() < end { try await Task.sleep(for: .milliseconds(10)) }
    #expect(lab.mounted.count == 1)
    _ = try await lab.release(try await lab.take(try self.settings(lab)))
    #expect(lab.mounted == [] && lab.ledger == [])
  }

  @Test("a take that lies: the guest is thawed, and the release runs")
  func takeLies() async throws {
    for (script, words) in [
      ("echo relative", "absolute path"),
      ("echo /a; echo /b", "one line"), ("echo /no/such/folder", "/no/such/folder"),
      ("echo \"$3\"", "live folder"), ("", "absolute path"),
    ] {
      let lab = try FreezeLab()
      let error = try await lab.refusal(try settings(lab, take: script.isEmpty ? "true" : script))
      #expect("\(error)".contains(words) && "\(error)".contains("freeze.take"), "\(script): \(error)")
      #expect(lab.log == ["pre-freeze", "take", "post-thaw", "release"] && lab.ledger == [])
    }
  }

  @Test("a folder that holds another VM of the same name is refused")
  func otherVM() async throws {
    let lab = try FreezeLab()
    let swap =
      "mkdir '\(lab.mounts)'/$5 && cp -p \"$3\"/*.vm* '\(lab.mounts)'/$5 && "
      + "sed -i 's/uuid.bios = \"56/uuid.bios = \"57/' '\(lab.mounts)'/$5/web.vmx && echo '\(lab.mounts)'/$5"
    let error = try await lab.refusal(try settings(lab, take: swap))
    #expect("\(error)".contains("is the VM 574def2d"), "\(error)")
    #expect(lab.mounted == [] && lab.ledger == [])
  }

  @Test("a post-thaw hook that fails is tried again, is loud, and the pass goes on with a view that is right")
  func postThawFails() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab, post: "echo stuck >&2; exit 1"))
    #expect(lab.log == ["pre-freeze", "take", "post-thaw", "post-thaw", "post-thaw"])
    let trouble = try #require(view.troubles.first)
    #expect("\(trouble)".contains("freeze.post_thaw") && "\(trouble)".contains("stuck"))
    #expect(lab.events.withLock { $0 }.contains { $0.level == .error && $0.text.contains("stuck") })
    // Such a guest may have let go before the disks stood still.
    #expect(view.label == .crashConsistent)
    await #expect(throws: SourceError.self) { try await lab.release(view) }
    #expect(lab.records.count == 1 && lab.mounted == [])
    // Not frozen again while it may still be frozen.
    let before = lab.log.count
    let error = try await lab.refusal(try settings(lab, post: "exit 1"))
    #expect("\(error)".contains("freeze.post_thaw"))
    #expect(!lab.log.dropFirst(before).contains("pre-freeze"))
    // The corrected hook is used, not the recorded one.
    let after = try await lab.take(try settings(lab))
    #expect(after.troubles.isEmpty && after.label == .quiesced)
    _ = try await lab.release(after)
    #expect(lab.ledger == [])
  }

  @Test("a sender that is told to end while a guest is held gives the freeze up and thaws it at once")
  func stopped() async throws {
    let lab = try FreezeLab()
    let hanging = try lab.command(
      "setsid sleep 300 & sleep 300; echo never >> '\(lab.logPath)'", deadline: 300)
    var held = try settings(lab)
    held.provider = .command(take: hanging, release: try lab.command())
    let settings = held
    let began = Date()
    async let refusal = lab.refusal(settings)
    while !lab.log.contains("take"), Date().timeIntervalSince(began) < 100 {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(lab.freezer.isGuestHeld)
    lab.freezer.stop()
    let error = try await refusal
    #expect(error.remedy == .retryPass && "\(error)".contains("told to end"), "\(error)")
    #expect(Date().timeIntervalSince(began) < 200 && !lab.freezer.isGuestHeld)
    #expect(lab.log == ["pre-freeze", "take", "post-thaw", "release"] && lab.records.count == 1)
    // Nor is another one begun.
    _ = try await lab.refusal(settings)
    #expect(!lab.log.dropFirst(4).contains("pre-freeze"))
  }

  @Test("a release that fails is said, is kept, and is tried again before the next freeze")
  func releaseFails() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab, release: "echo busy >&2; exit 16"))
    let error = try #require(await #expect(throws: SourceError.self) { try await lab.release(view) })
    #expect("\(error)".contains("freeze.release") && "\(error)".contains("busy"))
    #expect(lab.records.count == 1 && lab.mounted.count == 1)
    let next = try await lab.take(try settings(lab))
    #expect(lab.mounted.count == 1)
    _ = try await lab.release(next)
    #expect(lab.mounted == [] && lab.ledger == [])
  }

  @Test("a disk that cannot be read is refused before any hook runs")
  func refusedFirst() async throws {
    let lab = try FreezeLab()
    try lab.folder.remove("data-flat.vmdk")
    let error = try await lab.refusal(try settings(lab))
    #expect("\(error)".contains("data-flat.vmdk"))
    #expect(lab.log == [] && lab.ledger == [])
  }

  @Test("without the word quiesced, or without a hook that brings it about, a point is crash-consistent")
  func labels() async throws {
    let lab = try FreezeLab()
    var plain = try settings(lab)
    plain.quiesced = false
    let first = try await lab.take(plain)
    #expect(first.label == .crashConsistent)
    _ = try await lab.release(first)
    var bare = FreezeSettings(provider: try lab.storage(), quiesced: true)
    let second = try await lab.take(bare)
    #expect(second.label == .crashConsistent)
    #expect(try await lab.release(second).guestHeldSeconds == nil)
    bare.provider = .none
    let third = try await lab.take(bare)
    #expect(third.label == .crashConsistent)
    _ = try await lab.release(third)
  }

  @Test(
    "a disk that is named by its datastore is read from the frozen folder", arguments: ["[ds1]", "/vmfs/ds1"])
  func datastore(prefix: String) async throws {
    let lab = try FreezeLab()
    let folder = lab.folder.path.split(separator: "/").last ?? ""
    let name = "\(prefix)\(prefix.hasSuffix("]") ? " " : "/")\(folder)/data.vmdk"
    let vmx = try String(contentsOfFile: lab.folder.vmxPath, encoding: .utf8)
    try lab.folder.write("web.vmx", Array(vmx.replacing("\"data.vmdk\"", with: "\"\(name)\"").utf8))
    let opening = DiskOpening(mappings: [PathMapping(prefix: prefix, directory: "/tmp")])
    let view = try await lab.take(
      ViewRequest(vmxPath: lab.folder.vmxPath, freeze: try settings(lab), opening: opening))
    try lab.folder.write("data-flat.vmdk", [UInt8](repeating: 9, count: 1 << 20))
    #expect(try view.disks.count == 2 && firstBytes(of: view, disk: 1).allSatisfy { $0 == 7 })
    _ = try await lab.release(view)
    #expect(lab.ledger == [])
  }

  @Test("the frozen folder is what is read, and a change there abandons the pass")
  func frozenFolder() async throws {
    let lab = try FreezeLab()
    let view = try await lab.take(try settings(lab))
    try lab.folder.write("web-flat.vmdk", [UInt8](repeating: 9, count: 1 << 20))
    try view.checkUnchanged()
    #expect(try firstBytes(of: view).allSatisfy { $0 == 7 })
    let mount = "\(lab.mounts)/\(try lab.tag())"
    try await SystemTool.run("truncate", "-s", "2M", "\(mount)/web-flat.vmdk")
    #expect(throws: SourceError.self) { try view.checkUnchanged() }
    _ = try await lab.release(view)
  }
}
