import Foundation
import Glibc
import ReplModel
import ReplTestKit
import Testing

/// An objective that will be missed is told of before it is.
extension EndToEnd {
  @Suite(.needs("curl", "qemu-img")) struct ForecastTests {
    private static let pages = 2048

    /// A VM with two points, the second of which was measured by a process that is gone.
    private func makeLab(through proxy: Bool, rpo: String) throws -> (Lab, FaultyProxy?, FlatDisk) {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: Self.pages * 4096)
      try lab.writeVMX()
      let proxy = proxy ? try FaultyProxy(to: UInt16(lab.port), isNarrow: true) : nil
      try lab.configure(through: proxy.map { Int($0.port) }, sender: "interval: 10s\nrpo: \(rpo)")
      try lab.startReceiver()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      try lab.pass()
      try disk.write(pages: [1]) { _ in [UInt8](repeating: 7, count: 4096) }
      try lab.pass()
      return (lab, proxy, disk)
    }

    /// The line of an event, as soon as it is there.
    private func line(_ event: String, of sender: Running, within seconds: Double) throws -> String {
      let end = Date().addingTimeInterval(seconds)
      while Date() < end {
        if let found = sender.errors.split(separator: "\n").first(where: { $0.contains(" \(event) ") }) {
          return String(found)
        }
        usleep(20_000)
      }
      throw ToolFailure(text: "no \(event) within \(seconds) s: \(sender.errors)")
    }

    private func value(_ key: String, of line: String) -> String? {
      line.split(separator: " ").first { $0.hasPrefix("\(key)=") }.map { String($0.dropFirst(key.count + 1)) }
    }

    @Test("a link that became slow, and a receiver that is gone, are told of before the rpo is missed")
    func beforeTheBreach() throws {
      let (lonely, _, _) = try makeLab(through: false, rpo: "15s")
      try lonely.stopReceiver()
      let alone = try Running([Tool.sender, "run", "--config", lonely.senderConfig])

      let (lab, made, disk) = try makeLab(through: true, rpo: "20s")
      let proxy = try #require(made)
      defer { proxy.stop() }
      let ports = try lab.servePages()
      var random = SeededRandom(seed: 3)
      try disk.write(pages: Array(0..<Self.pages)) { _ in
        (0..<512).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
      }
      // Eight MiB would take half a minute.
      proxy.limit(bytesPerSecond: 250_000)
      let sender = try Running([Tool.sender, "run", "--config", lab.senderConfig])
      let risk = try line("rpo-at-risk", of: sender, within: 18)
      let left = try #require(value("in_seconds", of: risk).flatMap { Double($0) })
      #expect(left > 3, "\(risk)")
      #expect(value("bottleneck", of: risk) == "link", "\(risk)")
      let lag = try #require(value("expected_lag_seconds", of: risk).flatMap { Double($0) }, "\(risk)")
      #expect(lag > 20, "\(risk)")
      #expect(!sender.errors.contains("rpo-missed"))

      let status = try Lab.decodeStatus(
        try Tool.must([Tool.sender, "status", "--json", "--config", lab.senderConfig]))
      let forecast = try #require(status.rpoForecast)
      #expect(forecast.verdict == .atRisk && forecast.bottleneck == .link)
      #expect(status.running?.bottleneck == .link)
      let table = try Tool.must([Tool.sender, "status", "--config", lab.senderConfig])
      #expect(table.contains("RPO AT RISK, missed in ") && table.contains("the link is full"), "\(table)")
      let metrics = try Tool.must(["curl", "-sf", "http://127.0.0.1:\(ports.sender)/metrics"])
      #expect(metrics.contains("\nvmrepl_rpo_breach_expected_timestamp_seconds{vm=\"web01\""))

      let gone = try line("rpo-at-risk", of: alone, within: 15)
      #expect(gone.contains("no pass has succeeded since"), "\(gone)")
      #expect(try #require(value("in_seconds", of: gone).flatMap { Double($0) }) > 0, "\(gone)")
      let before = alone.errors.components(separatedBy: "rpo-at-risk")[0]
      #expect(!before.contains("rpo-missed"), "it is told before: \(alone.errors)")
      alone.signal(SIGTERM)

      proxy.limit(bytesPerSecond: nil)
      _ = try line("rpo-met-again", of: sender, within: 15)
      #expect(try line("pass-committed", of: sender, within: 1).contains("bottleneck=link"))
      #expect(sender.errors.components(separatedBy: "rpo-at-risk").count == 2, "it is told once")
      #expect(!sender.errors.contains("rpo-missed"))
      sender.signal(SIGTERM)
      #expect(try sender.finish(seconds: 10).status == 0)
      #expect(try alone.finish(seconds: 10).status == 0)
      try lab.expectIdentical()
    }
  }
}
