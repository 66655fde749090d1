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
    #expect(web.count == VMStatus.State.allCases.count - 1, "what is only found has no series")
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

  @Test("VMs that are only found are a number, and have no series of their own")
  func found() {
    var document = StatusSamples.document
    document.vms += (10..<20).map { StatusSamples.vm($0, "new\($0)", .found) }
    document.warnings = ["/srv/ds1: cannot be read"]
    let text = render(document)
    #expect(text.contains("\nvmrepl_vms 3\n") && text.contains("\nvmrepl_vms_found_not_protected 10\n"))
    #expect(text.contains("\nvmrepl_warnings 1\n"))
    #expect(!text.contains("new10"))
  }

  @Test("freezes, leftovers, seeding disks and fuzzy points have metrics; a fuzzy point never moves the lag")
  func freezes() throws {
    var document = StatusSamples.document
    document.vms = [StatusSamples.frozen]
    let labels = "{vm=\"mail\",vm_id=\"00000000-0000-0000-0000-000000000004\"}"
    let text = render(document)
    for line in [
      "vmrepl_last_freeze_hold_seconds\(labels) 12.5", "vmrepl_last_freeze_guest_hold_seconds\(labels) 0.25",
      "vmrepl_freeze_leftovers\(labels) 1", "vmrepl_seeding_disks\(labels) 1",
      "vmrepl_fuzzy_point_timestamp_seconds\(labels) 1795348795",
      "vmrepl_recovery_point_timestamp_seconds\(labels) 1795348200",
    ] {
      #expect(text.contains("\n\(line)\n"), "\(line)")
    }
    #expect(!render().contains("vmrepl_freeze_leftovers"), "nothing is said of a VM that was never frozen")
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
    var full = StatusSamples.document
    full.vms += [StatusSamples.frozen, HintStatusTests.hinted, StatusSamples.vm(9, "new", .found)]
    for document in [full, StatusSamples.document, empty] {
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
