import Foundation
import Glibc
import ReplModel
import Testing

extension EndToEnd {
  /// Both daemons as the users of their units, in a file system where only their own paths can be written.
  @Suite(
    .needs("qemu-img", "setpriv", "systemd-sysusers", "unshare"),
    .enabled(if: geteuid() == 0, "needs root, to become the units' users"))
  struct HardeningTests {
    /// `User=` of a unit; made as the package would make it when it is missing.
    private func user(of unit: String) throws -> String {
      let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
      let text = try String(contentsOfFile: "\(root)/systemd/\(unit)", encoding: .utf8)
      let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("User=") })
      let name = String(line.dropFirst("User=".count))
      if getpwnam(name) == nil {
        try Tool.must(["systemd-sysusers", "\(root)/systemd/vmrepl.sysusers.conf"])
      }
      return name
    }

    /// The command in a mount namespace whose root is read-only but for `writable`, without any capability.
    private func confined(_ command: [String], user: String, writable: [String]) -> [String] {
      let keep = writable.map { "mount --bind '\($0)' '\($0)'" }.joined(separator: " && ")
      let quoted = command.map { "'\($0)'" }.joined(separator: " ")
      let script =
        "mount --make-rprivate / && \(keep) && mount -o remount,bind,ro / && exec setpriv --reuid=\(user) "
        + "--regid=\(user) --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \(quoted)"
      return ["unshare", "--mount", "/bin/sh", "-c", script]
    }

    @Test("both daemons replicate as their own users with nothing writable but state and store")
    func confinedDaemons() throws {
      let users = (
        sender: try user(of: "repl-sender.service"), receiver: try user(of: "repl-receiver.service")
      )
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      let states = (sender: "\(lab.folder)/sender-state", receiver: "\(lab.folder)/receiver-state")
      // As StateDirectory= and the administrator's chown of the store do.
      for (path, owner) in [
        (states.sender, users.sender), (states.receiver, users.receiver), (lab.storeFolder, users.receiver),
      ] {
        try Tool.must(["install", "-d", "-m", "0700", "-o", owner, "-g", owner, path])
      }
      try lab.configure()
      let receiver = try Running(
        confined(
          [Tool.receiver, "run", "--config", lab.receiverConfig], user: users.receiver,
          writable: [states.receiver, lab.storeFolder]))
      defer { receiver.signal(SIGKILL) }
      try eventually("the receiver listens") {
        guard receiver.process.isRunning else { throw ToolFailure(text: "receiver: \(receiver.errors)") }
        return receiver.errors.contains("listening")
      }
      let sender = try Running(
        confined(
          [Tool.sender, "run", "--config", lab.senderConfig], user: users.sender, writable: [states.sender]))
      defer { sender.signal(SIGKILL) }
      try eventually("the first point") {
        guard sender.process.isRunning else { throw ToolFailure(text: "sender: \(sender.errors)") }
        return sender.errors.contains("pass-committed") && receiver.errors.contains("point-settled")
      }
      try lab.expectIdentical()
      let owner = try FileManager.default.attributesOfItem(
        atPath: "\(try lab.standbyFolder)/scsi0-0-flat.vmdk")
      #expect(owner[.ownerAccountName] as? String == users.receiver)
      for daemon in [sender, receiver] {
        daemon.signal(SIGTERM)
        #expect(try daemon.finish(seconds: 10).status == 0, "\(daemon.errors)")
      }
    }
  }
}
