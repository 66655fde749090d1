import Foundation
import Glibc
import ReplIO
import ReplModel
import ReplService
import ReplTestKit
import Testing

/// Limits of bandwidth, and reloading them, with the real executables: a proxy counts what is on the wire.
extension EndToEnd {
  @Suite(.needs("curl", "qemu-img", "promtool")) struct BandwidthTests {
    private static let limit = 4_000_000

    /// A disk that compresses to nothing less, behind a proxy.
    private func makeLab(mebibytes: Int, sender: String) throws -> (Lab, FaultyProxy) {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: mebibytes << 20)
      try lab.writeVMX()
      let path = "\(lab.sourceFolder)/web01-flat.vmdk"
      try PageMaker.random(byteCount: mebibytes << 20, seed: 77).withUnsafeBytes { bytes in
        try Data(bytes).write(to: URL(fileURLWithPath: path))
      }
      let proxy = try FaultyProxy(to: UInt16(lab.port))
      try lab.configure(through: Int(proxy.port), sender: sender)
      return (lab, proxy)
    }

    private func status(_ config: String) throws -> StatusDocument {
      let text = try Tool.must([Tool.sender, "status", "--json", "--config", config])
      return try StatusJSON.decode(Array(text.utf8))
    }

    /// A window around now where `TZ` puts this moment, and none where UTC does.
    private func window(hoursEast: Int) -> String {
      let local = Int(Date().timeIntervalSince1970) / 60 + hoursEast * 60
      func text(_ minute: Int) -> String {
        let minute = (minute % 1440 + 1440) % 1440
        return String(format: "%02d:%02d", minute / 60, minute % 60)
      }
      return "\(text(local - 60))-\(text(local + 60))"
    }

    @Test(
      "a limit holds to 5 % over 10 s; a wrong configuration changes nothing, a right one the pass that runs"
    )
    func limitAndReload() throws {
      let hours = 7
      let window = window(hoursEast: hours)
      let schedule =
        "bandwidth: {limit: 90MB/s, schedule: [{days: daily, window: \"\(window)\", "
        + "limit: \(Self.limit / 1_000_000)MB/s}]}"
      let (lab, proxy) = try makeLab(mebibytes: 96, sender: schedule)
      defer { proxy.stop() }
      let ports = try lab.servePages()
      let text = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      // What the daemon was started with.
      let before = "\(lab.folder)/before.yaml"
      try text.write(toFile: before, atomically: true, encoding: .utf8)
      let notify = try NotifySocket(in: lab.folder)
      try lab.startReceiver()
      let sender = try Running(
        [Tool.sender, "run", "--config", lab.senderConfig],
        environment: ["TZ": "EST-\(hours)", "NOTIFY_SOCKET": notify.path])
      try eventually("data is on its way") { proxy.bytesToServer > 1_000_000 }
      let began = SystemTime().monotonicNanoseconds()
      let first = proxy.bytesToServer

      try text.replacingOccurrences(of: schedule, with: "bandwidth: 1MB/s\nintervall: 5m")
        .write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      sender.signal(SIGHUP)
      try eventually("the wrong configuration is refused") { sender.errors.contains("reload-refused") }
      let refused = try status(lab.senderConfig)
      #expect(refused.warnings?.contains { $0.contains("was refused at") } == true)
      #expect(refused.bandwidth?.limitBytesPerSecond == Int64(Self.limit))
      #expect(refused.bandwidth?.window == "daily \(window)")
      let pass = try #require(refused.vms.first?.running?.pass)

      try eventually("ten seconds have passed") {
        SystemTime().monotonicNanoseconds() - began > 10_000_000_000
      }
      let seconds = Double(SystemTime().monotonicNanoseconds() - began) / 1e9
      let rate = Double(proxy.bytesToServer - first) / seconds
      print("bandwidth: \(Int(rate)) B/s on the wire, limit \(Self.limit), over \(seconds) s")
      #expect(abs(rate / Double(Self.limit) - 1) < 0.05, "\(rate) B/s of \(Self.limit) over \(seconds) s")
      let later = try status(before)
      let told = Double(later.bandwidth?.bytesPerSecond ?? 0)
      #expect(abs(told / Double(Self.limit) - 1) < 0.1, "told \(told)")
      #expect(
        later.vms.first?.running?.pass == pass && later.vms.first?.bandwidth?.limitBytesPerSecond == nil)
      let metrics = try Tool.must(["curl", "-sf", "http://127.0.0.1:\(ports.sender)/metrics"])
      #expect(metrics.contains("\nvmrepl_bandwidth_limit_bytes_per_second \(Self.limit)\n"))
      #expect(metrics.contains("\nvmrepl_wire_sent_bytes_total "))
      let judged = try Tool.run(["promtool", "check", "metrics"], input: metrics)
      #expect(judged.status == 0, "\(judged.errors)")

      let fast = text.replacingOccurrences(of: schedule, with: "bandwidth: 900MB/s\nlog_level: notice")
        .replacingOccurrences(of: "http: 127.0.0.1:\(ports.sender)", with: "http: 127.0.0.1:1")
      try fast.write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      sender.signal(SIGHUP)
      try eventually(seconds: 10, "the pass commits without the limit") {
        try status(before).vms.first?.newestPoint != nil
      }
      let done = try status(before)
      #expect(done.vms.first?.lastPass?.pass == pass, "the same pass")
      #expect(proxy.connections == 1, "on the same connection")
      #expect(done.bandwidth?.limitBytesPerSecond == 900_000_000 && done.bandwidth?.window == nil)
      let waits = "changed in the configuration and in force at the next start only: http"
      #expect(done.warnings == [waits])
      #expect(notify.messages.components(separatedBy: "RELOADING=1").count == 3)
      #expect(notify.messages.components(separatedBy: "READY=1").count == 4)
      try eventually("settled") { try status(before).vms.first?.running == nil }
      try lab.expectIdentical()
    }

    @Test("under the lowest limit SIGTERM ends a pass within 5 s, and it is resumed with what had arrived")
    func suspended() throws {
      let (lab, proxy) = try makeLab(mebibytes: 8, sender: "bandwidth: 64KiB/s")
      defer { proxy.stop() }
      try lab.startReceiver()
      let sender = try Running([Tool.sender, "run", "--config", lab.senderConfig])
      try eventually("data is on its way") { proxy.bytesToServer > 100_000 }
      let began = Date()
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 10).status == 0, "\(sender.errors)")
      #expect(Date().timeIntervalSince(began) < 5)
      let text = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      try text.replacingOccurrences(of: "64KiB/s", with: "unlimited")
        .write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      try lab.pass()
      try lab.expectIdentical()
    }

    @Test("a VM that a reload removes ends the pass that runs, and is gone")
    func removed() throws {
      let (lab, proxy) = try makeLab(mebibytes: 4, sender: "bandwidth: 64KiB/s")
      defer { proxy.stop() }
      _ = try lab.servePages()
      try lab.startReceiver()
      let sender = try Running([Tool.sender, "run", "--config", lab.senderConfig])
      try eventually("data is on its way") { proxy.bytesToServer > 50_000 }
      let text = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      let vmx = "vms:\n  - vmx: \(lab.sourceFolder)/web01.vmx"
      #expect(text.contains(vmx))
      let without = text.replacingOccurrences(of: vmx, with: "folders: [{path: \(lab.folder)/dr}]")
      try without.write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      sender.signal(SIGHUP)
      try eventually("it has left") { sender.errors.contains("vm-left") }
      #expect(!sender.errors.contains("pass-committed"), "its pass goes on")
      try without.replacingOccurrences(of: "64KiB/s", with: "unlimited")
        .write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      sender.signal(SIGHUP)
      try eventually("its pass commits") { sender.errors.contains("pass-committed") }
      try eventually("nobody is shown") { try status(lab.senderConfig).vms.isEmpty }
      #expect(proxy.connections == 1)
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 10).status == 0, "\(sender.errors)")
      try lab.expectIdentical()
    }
  }
}
