import Foundation
import Glibc
import ReplTestKit
import Testing

/// The sender dies at random moments of freeze, read and release; its next start cleans up, and touches only
/// what is ours.
extension EndToEnd {
  @Suite(.needs("qemu-img", "mkfs.xfs", "python3"), .needsLoopMounts, .timeLimit(.minutes(6)))
  struct FreezeKillTests {
    private static let pages = 8192

    /// One VM on a reflink filesystem, with things of others beside it.
    private final class Scene {
      let lab: Lab
      let log: HookLog
      let disk: FlatDisk
      var random: SeededRandom
      let seed: UInt64
      /// Names in the VM's folder that a snapshot command may replace by files with the same content.
      var isRewritten: Set<String> = []

      init() throws {
        seed =
          ProcessInfo.processInfo.environment["VMREPL_SEED"].flatMap(UInt64.init)
          ?? UInt64.random(in: 0...UInt64.max)
        print("freeze kill test seed: \(seed) (set VMREPL_SEED to run it again)")
        random = SeededRandom(seed: seed)
        lab = try Lab(on: try LoopMount(.xfs, sizeGiB: 4))
        log = HookLog(lab)
        try lab.addDisk(subformat: "monolithicFlat", sizeBytes: FreezeKillTests.pages * 4096)
        try lab.writeVMX()
        disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
        try disk.write(pages: Array(0..<FreezeKillTests.pages)) { page in
          (0..<4096).map { UInt8(truncatingIfNeeded: ($0 >> 3) &* page) }
        }
        // Another installation's leftovers, and names that only look like ours.
        let stranger = "\(lab.sourceFolder)/.vmrepl-ffffffff-00000001"
        try FileManager.default.createDirectory(atPath: stranger, withIntermediateDirectories: true)
        try "theirs".write(toFile: "\(stranger)/web01-flat.vmdk", atomically: true, encoding: .utf8)
        for name in [".vmrepl-notes.txt", "web01-000009.vmdk.old", ".hidden"] {
          try name.write(toFile: "\(lab.sourceFolder)/\(name)", atomically: true, encoding: .utf8)
        }
      }

      func change() throws {
        let count = Int.random(in: 1...60, using: &random)
        let chosen = (0..<count).map { _ in Int.random(in: 0..<FreezeKillTests.pages, using: &random) }
        try disk.write(pages: chosen) { _ in
          let noise = UInt8.random(in: 1...255, using: &random)
          return (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* Int(noise)) }
        }
      }

      func census() throws -> FolderCensus { try FolderCensus(of: lab.sourceFolder) }

      /// The hooks and commands of a killed sender go on by themselves, as those of a real host do.
      func waitForOrphans() throws {
        try eventually("the commands of the killed sender ended") {
          let processes = try FileManager.default.contentsOfDirectory(atPath: "/proc")
          return !processes.contains { process in
            // A process may end while it is looked at.
            let line = (try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8)) ?? ""
            return Int(process) != nil && line.contains(lab.folder) && !line.contains("repl-receiver")
          }
        }
      }
    }

    @Test("100 kills during freezes by reflink leave no clone, no guest frozen and no foreign file touched")
    func reflink() throws {
      let scene = try Scene()
      let hooks = try scene.log.settings(preFreeze: "sleep 0.01", postThaw: "sleep 0.01")
      try run(scene, kills: 100, settings: ["provider: reflink"] + hooks)
    }

    @Test(
      "30 kills during freezes by a snapshot command leave no snapshot, no frozen guest, the VM as it was")
    func snapshot() throws {
      let scene = try Scene()
      let host = try VMHost(scene.lab)
      scene.isRewritten = ["web01.vmx", "web01.vmsd", "web01-flat.vmdk", "web01.vmdk"]
      // The host leaves an empty list behind; it is there from the beginning.
      try host.snapshot("create", named: "first")
      try host.snapshot("remove", named: "first")
      let lines = host.settings(more: try scene.log.settings()).split(separator: "\n").dropFirst()
      try run(scene, kills: 30, settings: lines.map { $0.trimmingCharacters(in: .whitespaces) })
    }

    @Test("30 kills during freezes by a storage's command leave nothing of it and no guest frozen")
    func command() throws {
      let scene = try Scene()
      let views = "\(scene.lab.folder)/views"
      try FileManager.default.createDirectory(atPath: views, withIntermediateDirectories: true)
      let take = try scene.log.program(
        "take",
        then: "cp -a --reflink=always \"$VMREPL_DIRECTORY\" \"\(views)/$VMREPL_TAG\"\n"
          + "echo \"\(views)/$VMREPL_TAG\"")
      let release = try scene.log.program("release", then: "rm -rf \"\(views)/$1\"")
      let settings = [
        "provider: command", "take: {command: [\(take)]}", "release: {command: [\(release), \"{tag}\"]}",
      ]
      try run(scene, kills: 30, settings: settings + (try scene.log.settings())) {
        try FileManager.default.contentsOfDirectory(atPath: views)
      }
    }

    private func run(
      _ scene: Scene, kills: Int, settings: [String], leftovers: () throws -> [String] = { [] }
    ) throws {
      let lab = scene.lab
      let block = "    freeze:\n" + settings.map { "      \($0)" }.joined(separator: "\n")
      try lab.configure(sender: block)
      try lab.startReceiver()
      try lab.pass()
      let spans = try measure(scene)
      let untouched = try scene.census()
      var moments: [String: Int] = [:]
      for number in 1...kills {
        try scene.change()
        let before = try scene.census()
        let hooksBefore = scene.log.lines.count
        let pass = try lab.startPass()
        // Mostly from the freeze on; sometimes also what lies before it.
        let isFromStart = scene.random.chance(1, of: 5)
        if !isFromStart {
          try eventually("the freeze begins") {
            scene.log.lines.count > hooksBefore || !pass.process.isRunning
          }
        }
        let span = isFromStart ? spans.start : spans.hold
        usleep(UInt32(Double.random(in: 0...span, using: &scene.random) * 1e6))
        pass.signal(SIGKILL)
        try pass.finish(seconds: 10)
        let context = "kill \(number), seed \(scene.seed)"
        try scene.waitForOrphans()
        let stages = scene.log.lines.dropFirst(hooksBefore).map(\.stage)
        let isHeld = try scene.census().entries.keys != before.entries.keys || !(try leftovers().isEmpty)
        moments[(stages.last ?? "before the freeze") + (isHeld ? ", held" : ""), default: 0] += 1
        try lab.pass()
        let after = try scene.census()
        #expect(try leftovers() == [], "\(context)")
        #expect(scene.log.frozenTags == [], "\(context)")
        #expect(Set(after.entries.keys) == Set(untouched.entries.keys), "\(context)")
        #expect(after.contentDifferences(from: before) == [], "\(context)")
        let touched = after.differences(from: before).filter { !scene.isRewritten.contains($0) }
        #expect(touched == [], "\(context)")
      }
      try lab.expectIdentical("seed \(scene.seed)")
      print("moments of the \(kills) kills: \(moments.sorted { $0.key < $1.key })")
      let held = moments.filter { $0.key.hasSuffix("held") }.values.reduce(0, +)
      #expect(held > kills / 4, "enough kills must fall into a freeze")
    }

    /// Seconds of an undisturbed pass: from its start to the freeze, and from there to its end.
    private func measure(_ scene: Scene) throws -> (start: Double, hold: Double) {
      let hooksBefore = scene.log.lines.count
      let began = Date()
      let pass = try scene.lab.startPass()
      try eventually("the freeze begins") { scene.log.lines.count > hooksBefore }
      let frozen = Date()
      try pass.finish(seconds: 60)
      return (frozen.timeIntervalSince(began), Date().timeIntervalSince(frozen))
    }
  }
}
