import Foundation
import ReplModel
import Testing

@testable import ReplService

/// The metrics as Prometheus sees them.
@Suite("Metrics")
struct MetricsTests {
  private let start = WallTime(millisecondsSince1970: 1_795_340_000_500)

  private func render(_ document: StatusDocument = StatusSamples.document) -> String {
    MetricsText.render(document, processStart: start)
  }

  private func samples(_ text: String) -> [Substring] {
    text.split(separator: "\n").filter { !$0.hasPrefix("#") }
  }

  @Test("every value is there, in base units, as a moment instead of an age")
  func values() {
    let text = render()
    let web = "{vm=\"web01\",vm_id=\"00000000-0000-0000-0000-000000000001\"}"
    for line in [
      "vmrepl_build_info{version=\"1.2.3\",role=\"sender\"} 1",
      "vmrepl_process_start_time_seconds 1795340000.5",
      "vmrepl_vms 3",
      "vmrepl_recovery_point_timestamp_seconds\(web) 1795348554.5",
      "vmrepl_rpo_seconds\(web) 900",
      "vmrepl_passes_committed_total\(web) 7",
      "vmrepl_passes_failed_total\(web) 0",
      "vmrepl_last_pass_start_timestamp_seconds\(web) 1795348554",
      "vmrepl_last_pass_duration_seconds\(web) 4.25",
      "vmrepl_last_pass_read_bytes\(web) 3221225472",
      "vmrepl_last_pass_changed_bytes\(web) 1610612",
      "vmrepl_last_pass_wire_bytes\(web) 400000",
    ] {
      #expect(text.contains("\n\(line)\n"), "missing: \(line)")
    }
  }

  @Test("a VM is in exactly one state")
  func states() {
    let web = samples(render()).filter { $0.hasPrefix("vmrepl_vm_state{vm=\"web01\"") }
    #expect(web.count == VMStatus.State.allCases.count)
    #expect(web.filter { $0.hasSuffix(" 1") }.count == 1)
    #expect(web.contains { $0.hasSuffix("state=\"idle\"} 1") })
  }

  @Test("a VM without a recovery point has no timestamp, rather than a wrong one")
  func absentValues() {
    let big = samples(render()).filter { $0.contains("vm=\"big\"") }
    #expect(!big.contains { $0.hasPrefix("vmrepl_recovery_point") || $0.hasPrefix("vmrepl_last_pass") })
    #expect(big.contains { $0.hasPrefix("vmrepl_running_pass_done_bytes") && $0.hasSuffix(" 549755813888") })
  }

  @Test("a name cannot end its label or its line")
  func labelsAreEscaped() {
    let failed = samples(render()).filter { $0.hasPrefix("vmrepl_passes_failed_total") }
    #expect(failed.contains { $0.contains("vm=\"db \\\"prod\\\"\\\\1??[31m\"") && $0.hasSuffix(" 9") })
  }

  @Test("labels and time series are bounded")
  func bounds() {
    var document = StatusSamples.document
    document.vms = (0..<5000).map { number in
      StatusSamples.vm(UInt64(number), String(repeating: "n", count: 1000), .idle)
    }
    let text = render(document)
    #expect(text.contains("\nvmrepl_vms 5000\n"))
    #expect(samples(text).filter { $0.hasPrefix("vmrepl_rpo_seconds") }.count == 2048)
    #expect(!text.contains(String(repeating: "n", count: 129)))
  }

  @Test("every family has one help and one type line, before its samples")
  func families() {
    let lines = render().split(separator: "\n")
    let types = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
    #expect(Set(types).count == types.count)
    #expect(lines.filter { $0.hasPrefix("# HELP ") }.map { $0.split(separator: " ")[2] } == types)
    #expect(types.allSatisfy { $0.hasPrefix("vmrepl_") })
  }

  @Test("promtool accepts the metrics", .enabled(if: Judge.isUsable("promtool"), "promtool is not installed"))
  func promtoolAccepts() throws {
    for document in [StatusSamples.document, empty] {
      let result = try Judge.run("promtool", ["check", "metrics"], input: render(document))
      #expect(result.status == 0, "\(result.output)")
      #expect(result.output == "")
    }
  }

  private var empty: StatusDocument {
    StatusDocument(
      role: .receiver, version: "1", daemonRunning: true, generatedAt: StatusSamples.now, vms: [])
  }
}
