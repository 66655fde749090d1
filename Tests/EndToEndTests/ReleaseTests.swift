import Foundation
import Glibc
import ReplModel
import ReplService
import Testing

/// A view is given back whatever becomes of its pass, and the status tells how long it was held.
extension EndToEnd {
  @Suite(.needs("qemu-img", "cp")) struct ReleaseTests {
    /// A VM whose frozen view is a copy of its folder; what the commands do is in `commands.log`.
    private func makeLab() throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      let take = try lab.writeScript(
        "take",
        """
        echo take >> \(lab.folder)/commands.log
        cp -r "$2" \(lab.folder)/view-$1
        echo \(lab.folder)/view-$1
        """)
      let release = try lab.writeScript(
        "release", "rm -r \(lab.folder)/view-$1\necho release >> \(lab.folder)/commands.log")
      try lab.configure(
        sender: """
              freeze:
                provider: command
                take: [\(take), "{tag}", "{directory}"]
                release: [\(release), "{tag}"]
          """)
      return lab
    }

    private func commands(_ lab: Lab) -> [String] {
      // Not there before the first command.
      let text = (try? String(contentsOfFile: "\(lab.folder)/commands.log", encoding: .utf8)) ?? ""
      return text.split(separator: "\n").map { String($0) }
    }

    @Test("the hold of a view is in the status, and the view is released after the commit")
    func hold() throws {
      let lab = try makeLab()
      try lab.startReceiver()
      let status = try lab.pass()
      #expect(commands(lab) == ["take", "release"])
      #expect(status.lastFreeze?.provider == "command" && status.lastFreeze?.guestHeldSeconds == nil)
      #expect((status.lastFreeze?.heldSeconds ?? 0) > 0 && status.leftovers == nil)
      let table = try Tool.must([Tool.sender, "status", "--config", lab.senderConfig])
      #expect(table.contains("last freeze (command) was held for"))
    }

    @Test(
      "a pass that fails, and one that SIGTERM ends, give their view back in time", arguments: [true, false])
    func release(isOnce: Bool) throws {
      let lab = try makeLab()
      // Nobody listens: the view is held while the sender tries to connect.
      let sender = try Running(
        [Tool.sender, "run"] + (isOnce ? ["--once"] : []) + ["--config", lab.senderConfig])
      try eventually("the view is taken") { commands(lab).contains("take") }
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 6).status == (isOnce ? 1 : 0))
      #expect(commands(lab) == ["take", "release"])
      let names = try FileManager.default.contentsOfDirectory(atPath: lab.folder)
      #expect(!names.contains { $0.hasPrefix("view-") })
    }
  }
}
