import Foundation
import Glibc
import ReplIO
import ReplModel
import Testing

/// Both daemons as systemd runs them.
extension EndToEnd {
  @Suite(.needs("curl", "openssl", "promtool", "qemu-img")) struct DaemonTests {
    private func makeLab(httpPorts: (sender: Int, receiver: Int)? = nil) throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.configure(sender: "interval: 10s")
      guard let httpPorts else { return lab }
      for (path, port) in [(lab.senderConfig, httpPorts.sender), (lab.receiverConfig, httpPorts.receiver)] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacingOccurrences(of: "http: \"off\"", with: "http: 127.0.0.1:\(port)")
          .write(toFile: path, atomically: true, encoding: .utf8)
      }
      return lab
    }

    @Test(
      "both daemons replicate on their own, serve status, health and metrics, and end on SIGTERM with 0"
    )
    func daemons() throws {
      let ports = (sender: try Lab.freePort(), receiver: try Lab.freePort())
      let lab = try makeLab(httpPorts: ports)
      let notify = try NotifySocket(in: lab.folder)
      try lab.startReceiver()
      let sender = try Running(
        [Tool.sender, "run", "--config", lab.senderConfig],
        environment: ["NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": "2000000"])
      try eventually("READY=1") { notify.messages.contains("READY=1") }
      try eventually("WATCHDOG=1") { notify.messages.contains("WATCHDOG=1") }
      try eventually("the first point") { sender.errors.contains("pass-committed") }
      try lab.change(disk: 0, ["write -P 0x55 2M 64k"])
      try eventually("the second point") {
        sender.errors.components(separatedBy: "pass-committed").count >= 3
      }
      try eventually("settled") {
        lab.receiver?.errors.components(separatedBy: "point-settled").count ?? 0 >= 3
      }
      try lab.expectIdentical()

      for port in [ports.sender, ports.receiver] {
        let health = try Tool.must(["curl", "-sf", "http://127.0.0.1:\(port)/healthz"])
        #expect(health.contains("ok"))
        let metrics = try Tool.must(["curl", "-sf", "http://127.0.0.1:\(port)/metrics"])
        #expect(metrics.contains("vmrepl_recovery_point_timestamp_seconds"))
        let judged = try Tool.run(["promtool", "check", "metrics"], input: metrics)
        #expect(judged.status == 0, "\(judged.errors)")
      }
      for (tool, config) in [(Tool.sender, lab.senderConfig), (Tool.receiver, lab.receiverConfig)] {
        let table = try Tool.must([tool, "status", "--config", config])
        #expect(table.contains("web01"))
        let status = try Lab.decodeStatus(try Tool.must([tool, "status", "--json", "--config", config]))
        #expect(status.newestPoint != nil && status.lastPass != nil)
      }
      let second = try Tool.run([Tool.sender, "run", "--once", "--config", lab.senderConfig])
      #expect(second.status == 75 && second.errors.contains("\(sender.process.processIdentifier)"))

      let began = Date()
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 10).status == 0)
      try eventually("STOPPING=1") { notify.messages.contains("STOPPING=1") }
      let receiver = try #require(lab.receiver)
      receiver.signal(SIGTERM)
      #expect(try receiver.finish(seconds: 10).status == 0)
      #expect(Date().timeIntervalSince(began) < 10)
      let offline = try Tool.must([Tool.sender, "status", "--config", lab.senderConfig])
      #expect(offline.contains("web01"))
    }

    @Test("SIGTERM in the middle of a pass ends the sender within 5 s with 0, and the pass is resumed")
    func terminateMidPass() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 512 << 20)
      try lab.writeVMX()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      let noise = try Data(contentsOf: URL(fileURLWithPath: Tool.sender)).prefix(4 << 20)
      for chunk in 0..<128 { try disk.write(pages: [chunk * 1024]) { _ in Array(noise) } }
      try lab.configure()
      try lab.startReceiver()
      let sender = try Running([Tool.sender, "run", "--config", lab.senderConfig])
      try eventually("the pass has begun") {
        let names = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
        return names.contains { $0.hasPrefix("web01") } || sender.errors.contains("pass-committed")
      }
      let began = Date()
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 10).status == 0, "\(sender.errors)")
      #expect(Date().timeIntervalSince(began) < 5)
      try lab.pass()
      try lab.expectIdentical()
    }

    @Test("SIGTERM ends a sender that cannot reach its receiver within 5 s, with 0 or with --once 1")
    func terminateWaiting() throws {
      let lab = try makeLab()
      for (arguments, sign, code) in [
        (["run"], "pass-interrupted", Int32(0)), (["run", "--once", "--progress"], "connect", 1),
      ] {
        let sender = try Running([Tool.sender] + arguments + ["--config", lab.senderConfig])
        // Nobody listens: the pass tries again for a while.
        try eventually(sign) { sender.errors.contains(sign) }
        let began = Date()
        sender.signal(SIGTERM)
        #expect(try sender.finish(seconds: 10).status == code, "\(sender.errors)")
        #expect(Date().timeIntervalSince(began) < 5)
      }
    }

    @Test("SIGTERM with idle, half-open and busy peers ends the receiver within 5 s with 0")
    func terminateReceiver() throws {
      let lab = try makeLab()
      try lab.startReceiver()
      let idle = try (0..<5).map { _ in try Running(["nc", "-d", "127.0.0.1", "\(lab.port)"]) }
      let pass = try lab.startPass()
      let began = Date()
      let receiver = try #require(lab.receiver)
      receiver.signal(SIGTERM)
      #expect(try receiver.finish(seconds: 10).status == 0, "\(receiver.errors)")
      #expect(Date().timeIntervalSince(began) < 5)
      for connection in idle { connection.signal(SIGKILL) }
      pass.signal(SIGKILL)
    }

    @Test(
      "TLS 1.2, no certificate, a strange one and plain HTTP are refused, and the listener lives on"
    )
    func strangers() throws {
      let lab = try makeLab()
      try lab.startReceiver()
      let address = "127.0.0.1:\(lab.port)"
      let key = "\(lab.folder)/stranger.key"
      let certificate = "\(lab.folder)/stranger.crt"
      try Tool.must([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
        "/CN=x",
        "-keyout", key, "-out", certificate, "-days", "2",
      ])
      let own = "\(lab.folder)/sender-state/identity"
      let attempts: [(String, [String])] = [
        (
          "TLS 1.2",
          ["-tls1_2", "-cert", "\(own)/certificate.pem", "-key", "\(own)/key.pem", "-alpn", "vmrepl/1"]
        ),
        ("no certificate", ["-tls1_3", "-alpn", "vmrepl/1"]),
        ("a strange certificate", ["-tls1_3", "-cert", certificate, "-key", key, "-alpn", "vmrepl/1"]),
      ]
      for (what, arguments) in attempts {
        let result = try Tool.run(
          ["openssl", "s_client", "-connect", address, "-ign_eof"] + arguments, seconds: 20, input: "hello\n")
        #expect(!result.output.contains("vmrepl 0"), "\(what) must not reach the banner")
        #expect(
          result.output.contains("alert") || result.errors.contains("alert"), "\(what): \(result.errors)")
      }
      let http = try Tool.run(["curl", "-s", "-m", "5", "http://\(address)/"])
      #expect(http.status != 0)
      try eventually("the refusal is logged with both fingerprints") {
        let log = lab.receiver?.errors ?? ""
        return log.components(separatedBy: "sha256:").count >= 3 && log.contains("connection-refused")
      }
      try lab.pass()
      try lab.expectIdentical()
    }
  }
}

/// A datagram socket in systemd's place. A thread reads all the time: the kernel keeps ten messages at most.
final class NotifySocket: Sendable {
  let path: String
  private let descriptor: Int32
  private let received = Monitor("")

  init(in folder: String) throws {
    path = folder + "/notify"
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let (descriptor, received) = (self.descriptor, self.received)
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0 else { throw ToolFailure(text: "cannot bind \(path)") }
    _ = NamedThread.start("notify-socket") {
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count <= 0 { return }
        let text = String(decoding: buffer[0..<count], as: UTF8.self)
        received.withLock { $0 += text + "\n" }
      }
    }
  }

  deinit {
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  /// Everything received so far.
  var messages: String { received.withLock { $0 } }
}
