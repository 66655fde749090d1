import Foundation
import ReplModel
import Testing

@testable import ReplService

/// `bandwidth` in the configuration, its reload, and what is shown of it.
@Suite("Bandwidth") struct BandwidthConfigTests {
  private static let fingerprint = "sha256:" + String(repeating: "ab", count: 32)

  private func parse(_ text: String, receiver: String = "dr:7443") throws -> SenderConfig {
    let head = "receiver: {address: \"\(receiver)\", fingerprint: \(Self.fingerprint)}\n"
    return try SenderConfig.parse(head + text, path: "s.yaml")
  }

  private func limit(_ text: String) throws -> Int64? {
    try parse("vms: [/a.vmx]\nbandwidth: \(text)\n").bandwidth.bytesPerSecond
  }

  @Test("a rate is bytes or bits a second, with or without /s")
  func rates() throws {
    for (text, expected) in [
      ("50MB/s", 50_000_000), ("50MB", 50_000_000), ("64KiB", 65_536), ("1 GiB/s", 1 << 30),
      ("100Mbit/s", 12_500_000), ("1Gbit", 125_000_000), ("640kbit", 80_000), ("unlimited", nil),
      ("{limit: 1MB/s}", 1_000_000), ("100GiB/s", 100 << 30),
    ] as [(String, Int64?)] { #expect(try limit(text) == expected, "\(text)") }
    for wrong in ["50", "50mb", "50MB/m", "-5MB", "65535B", "101GiB/s", "99999999999999Gbit", "none", "0"] {
      #expect(throws: ConfigError.self) { try limit(wrong) }
    }
  }

  @Test("a VM and a folder have a limit and a schedule of their own, and inherit none")
  func places() throws {
    let config = try parse(
      """
      bandwidth: {limit: 9MB/s, schedule: [{days: [mon, wed-fri], window: "22:00-24:00", limit: unlimited}]}
      vms:
        - /a.vmx
        - {vmx: /b.vmx, bandwidth: {schedule: [{limit: 1MB/s}, {days: daily, limit: 2MB/s}]}}
      folders: [{path: /f, policy: protect, bandwidth: 3MB/s}]
      """)
    let window = try #require(config.bandwidth.windows.first)
    #expect(window.days == [.monday, .wednesday, .thursday, .friday] && window.bytesPerSecond == nil)
    #expect("\(window)" == "mon,wed-fri 22:00-00:00")
    #expect(config.vms[0].bandwidth == .unlimited)
    #expect(config.vms[1].bandwidth.windows.map(\.bytesPerSecond) == [1_000_000, 2_000_000])
    #expect(config.vms[1].bandwidth.windows[0].contains(LocalMoment(weekday: .sunday, minute: 0)))
    #expect(config.folders[0].vm(at: "/f/x.vmx").bandwidth.bytesPerSecond == 3_000_000)
    #expect(config.bandwidth.summary == "at most 9 MB/s, mon,wed-fri 22:00-00:00 no limit")
    #expect(BandwidthPlan.unlimited.summary == nil)
  }

  @Test("a reload takes up limits and VMs at once, and names what waits for the next start")
  func reload() throws {
    let running = try parse("vms: [/a.vmx]\ninterval: 1m\n")
    let same = try parse("vms: [/a.vmx, /b.vmx]\nbandwidth: 5MB/s\nlog_level: debug\n").taken(by: running)
    #expect(same.waiting.isEmpty)
    #expect(same.config.vms.count == 2 && same.config.bandwidth.bytesPerSecond == 5_000_000)
    #expect(same.config.intervalSeconds == 600 && same.config.logLevel == .debug)
    let other = try parse(
      """
      vms: [/a.vmx]
      state_dir: /elsewhere
      http: "off"
      max_concurrent_passes: 3
      page_size: 8KiB
      compression: zlib
      bandwidth: 5MB/s
      """, receiver: "other:7443"
    ).taken(by: running)
    #expect(
      other.waiting == [
        "state_dir", "receiver", "http", "max_concurrent_passes", "page_size", "compression",
      ])
    #expect(
      other.config.stateDirectory == running.stateDirectory && other.config.receiver == running.receiver)
    #expect(other.config.http == running.http && other.config.pageSizeBytes == 4096)
    #expect(other.config.compression == .auto && other.config.maximumConcurrentPasses == 2)
    #expect(other.config.bandwidth.bytesPerSecond == 5_000_000)
  }

  @Test("where the status is served can be read from a file that is wrong otherwise")
  func statusAddress() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).yaml").path
    // Best effort: a leftover in the temporary folder harms nobody.
    defer { try? FileManager.default.removeItem(atPath: path) }
    for (text, expected) in [
      ("http: 127.0.0.1:77\nvmz: []\n", "127.0.0.1:77"), ("vmz: 1\n", "127.0.0.1:9811"),
      ("http: \"off\"\nrpo: x\n", nil), ("a: [", "127.0.0.1:9811"), ("- a\n", "127.0.0.1:9811"),
    ] as [(String, String?)] {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      #expect(SenderConfig.statusAddress(path: path).map { "\($0)" } == expected, "\(text)")
    }
  }

  private var limited: StatusDocument {
    var document = StatusSamples.document
    document.bandwidth = BandwidthStatus(
      limitBytesPerSecond: 5_000_000, window: "mon-fri 08:00-18:00", bytesPerSecond: 4_960_000,
      sentBytes: 123_456_789)
    document.vms[2].bandwidth = BandwidthStatus(
      limitBytesPerSecond: 640_000, window: nil, bytesPerSecond: 639_000, sentBytes: 1000)
    return document
  }

  @Test("status shows the limit in force, its window and the rate, in text, JSON and metrics")
  func shown() throws {
    let text = StatusTable.render(limited, now: StatusSamples.now)
    #expect(text.contains("\nsending 5 MB/s, limit 5 MB/s (mon-fri 08:00-18:00)\n"), "\(text)")
    #expect(text.contains("200 GiB sent, 639 kB/s (limit 640 kB/s)"), "\(text)")
    #expect(!StatusTable.render(StatusSamples.document, now: StatusSamples.now).contains("sending"))
    let decoded = try StatusJSON.decode(StatusJSON.encode(limited, now: StatusSamples.now))
    #expect(decoded.bandwidth == limited.bandwidth && decoded.vms[2].bandwidth == limited.vms[2].bandwidth)
    let metrics = MetricsText.render(limited, processStart: StatusSamples.now)
    let big = "{vm=\"big\",vm_id=\"00000000-0000-0000-0000-000000000003\"}"
    for line in [
      "vmrepl_bandwidth_limit_bytes_per_second 5000000", "vmrepl_wire_sent_bytes_total 123456789",
      "vmrepl_vm_bandwidth_limit_bytes_per_second\(big) 640000",
      "vmrepl_vm_wire_sent_bytes_total\(big) 1000",
    ] { #expect(metrics.contains("\n\(line)\n"), "\(line)") }
    #expect(
      !MetricsText.render(StatusSamples.document, processStart: StatusSamples.now).contains("bandwidth"))
  }

  @Test("rates are written as links are measured")
  func text() {
    for (rate, text) in [
      (0, "0 B/s"), (999, "999 B/s"), (65_536, "65.5 kB/s"), (12_500_000, "12.5 MB/s"),
      (900_000_000, "900 MB/s"),
    ] as [(Int64, String)] { #expect(AmountText.rate(bytesPerSecond: rate) == text) }
  }
}
