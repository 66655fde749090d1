import ReplModel
import Testing

@testable import ReplService

/// What status and metrics say of a standby that may not be what replication wrote.
@Suite("Doubtful standbys") struct DoubtTests {
  private let document = StatusDocument(
    role: .receiver, version: "1.2.3", daemonRunning: true, generatedAt: StatusSamples.now,
    vms: [StatusSamples.idle, StatusSamples.suspect, StatusSamples.diverged])

  @Test("status says since when, what was found and what to do")
  func notes() {
    let suspect = StatusNotes.lines(of: StatusSamples.suspect, now: StatusSamples.now)
    #expect(
      suspect.contains {
        $0.hasPrefix("SUSPECT since 2026-11-22T11:00:00.000Z: 3 page(s)") && $0.contains("--force")
      })
    #expect(suspect.contains { $0.hasPrefix("verified 25% of this round") && $0.contains("never yet") })
    let diverged = StatusNotes.lines(of: StatusSamples.diverged, now: StatusSamples.now)
    #expect(
      diverged.contains {
        $0.hasPrefix("DIVERGED since 2026-11-21T12:00:00.000Z") && $0.contains("adopt --verify")
          && $0.contains("reseed")
      })
    #expect(StatusNotes.lines(of: StatusSamples.idle, now: StatusSamples.now).isEmpty)
  }

  @Test("metrics count suspect pages, and name the moments")
  func metrics() {
    let text = MetricsText.render(document, processStart: StatusSamples.now)
    func value(_ metric: String, _ vm: String) -> Substring? {
      text.split(separator: "\n").first { $0.hasPrefix("\(metric){vm=\"\(vm)\"") }?.split(separator: " ").last
    }
    #expect(value("vmrepl_suspect_pages", "files") == "3" && value("vmrepl_suspect_pages", "web01") == "0")
    #expect(value("vmrepl_diverged_timestamp_seconds", "erp") == "1795262400")
    #expect(value("vmrepl_diverged_timestamp_seconds", "files") == nil)
    #expect(value("vmrepl_last_verify_timestamp_seconds", "files") == "1795348680")
    #expect(
      text.contains("vmrepl_vm_state{vm=\"files\",vm_id=\"\(StatusSamples.suspect.vm)\",state=\"suspect\"} 1")
    )
  }
}
