import Foundation
import Glibc
import Testing

/// Who may use a state directory, and what others can do with it (FAULTS.md 86, 96).
extension EndToEnd {
  @Suite(.needs("qemu-img", "find")) struct StateDirectoryTests {
    private func makeLab() throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      return lab
    }

    private func runReceiver(_ lab: Lab) throws -> ToolResult {
      try Tool.run([Tool.receiver, "run", "--config", lab.receiverConfig], seconds: 20)
    }

    @Test("a second daemon on a state directory ends with 75 and names the process; the first one goes on")
    func two() throws {
      let lab = try makeLab()
      try lab.configure()
      try lab.startReceiver()
      let first = try #require(lab.receiver?.process.processIdentifier)
      let second = try runReceiver(lab)
      #expect(second.status == 75 && second.errors.contains("process \(first) uses it"), "\(second.errors)")
      // In the moment before the first one has written its number down.
      try FileManager.default.removeItem(atPath: "\(lab.folder)/receiver-state/pid")
      let early = try runReceiver(lab)
      #expect(early.status == 75 && early.errors.contains("uses it"), "\(early.errors)")
      try lab.pass()
      try lab.expectIdentical()
      // The lock is the process's, not the file's: a killed one does not keep it.
      try lab.stopReceiver(SIGKILL)
      #expect(FileManager.default.fileExists(atPath: "\(lab.folder)/receiver-state/lock"))
      try lab.startReceiver()
      try lab.pass()
    }

    @Test(
      "a state directory made beforehand with 0777 or 0750 is refused with 78 and the chmod that repairs it")
    func tooWide() throws {
      let lab = try makeLab()
      try lab.configure()
      for (tool, state, config) in [
        (Tool.receiver, "\(lab.folder)/receiver-state", lab.receiverConfig),
        (Tool.sender, "\(lab.folder)/sender-state", lab.senderConfig),
      ] {
        for mode in [mode_t(0o777), 0o750, 0o701] {
          try #require(chmod(state, mode) == 0)
          for arguments in [["run", "--config", config], ["init", "--state-dir", state]] {
            let refused = try Tool.run([tool] + arguments, seconds: 20)
            #expect(refused.status == 78, "\(arguments): \(refused.errors)")
            #expect(
              refused.errors.contains(String(mode, radix: 8))
                && refused.errors.contains("chmod 700 \(state)"),
              "\(refused.errors)")
          }
        }
        try #require(chmod(state, 0o700) == 0)
      }
      try lab.startReceiver()
      try lab.pass()
    }

    @Test("with umask 000 no file and no folder of state and store can be read or entered by others")
    func umask() throws {
      let lab = try makeLab()
      let before = Glibc.umask(0)
      defer { Glibc.umask(before) }
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try lab.change(disk: 0, ["write -P 0x42 1M 64k"])
      try lab.pass()
      try eventually("settled") { lab.receiver?.errors.contains("point-settled") == true }
      for folder in ["receiver-state", "sender-state", "dr"] {
        // The store's own folder is the administrator's.
        let wide = try Tool.must(["find", "\(lab.folder)/\(folder)", "-mindepth", "1", "-perm", "/077"])
        let ours = wide.split(separator: "\n").filter { !$0.hasSuffix("/dr") }
        #expect(ours.isEmpty, "\(ours)")
      }
    }

    @Test("links planted in a state directory lead nowhere: neither what they point to is read nor written")
    func links() throws {
      let lab = try makeLab()
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try lab.stopReceiver()
      let (state, victims) = ("\(lab.folder)/receiver-state", "\(lab.folder)/victims")
      let files = FileManager.default
      try files.createDirectory(atPath: "\(victims)/folder", withIntermediateDirectories: true)
      try "victim\n".write(toFile: "\(victims)/file", atomically: true, encoding: .utf8)
      for name in ["lock", "pid", "receiver-id", "status", "maps", "keys"] {
        for isHard in [false, true] where !isHard || name == "lock" {
          let path = "\(state)/\(name)"
          try files.moveItem(atPath: path, toPath: "\(lab.folder)/aside")
          let isFolder = ["status", "maps", "keys"].contains(name)
          let victim = isFolder ? "\(victims)/folder" : "\(victims)/file"
          try #require((isHard ? link(victim, path) : symlink(victim, path)) == 0)
          if name == "pid" {
            // Replaced by renaming, which never follows.
            try lab.startReceiver()
            try lab.stopReceiver()
          } else {
            let refused = try runReceiver(lab)
            #expect(refused.status != 0 && refused.errors.contains(name), "\(name): \(refused.errors)")
          }
          #expect(try String(contentsOfFile: "\(victims)/file", encoding: .utf8) == "victim\n", "\(name)")
          #expect(try files.contentsOfDirectory(atPath: "\(victims)/folder").isEmpty, "\(name)")
          try files.removeItem(atPath: path)
          try files.moveItem(atPath: "\(lab.folder)/aside", toPath: path)
        }
      }
      try lab.startReceiver()
      try lab.pass()
      try lab.expectIdentical()
    }
  }
}
