import Foundation
import ReplModel
import Testing

@testable import ReplService

/// What status, JSON and metrics say of objectives before they are missed.
@Suite("Forecasts") struct ForecastTextTests {
  private var document: StatusDocument {
    var document = StatusSamples.document
    document.vms[0].rpoForecast = VMStatus.Forecast(
      verdict: .atRisk, breachAt: StatusSamples.time(secondsAgo: -30),
      commitAt: StatusSamples.time(secondsAgo: -120), lagSeconds: 990, bottleneck: .link,
      reason: "the pass that runs is expected to commit, in 120 s; the rpo ends in 30 s")
    document.vms[0].stageSeconds = VMStatus.StageSeconds(sourceRead: 1.5, link: 20)
    document.vms[1].rpoForecast = VMStatus.Forecast(
      verdict: .missed, breachAt: StatusSamples.time(secondsAgo: 6300), reason: "connect\u{1B}[31m fails")
    document.vms[2].rpoForecast = VMStatus.Forecast(verdict: .unknown, reason: "no point yet")
    document.vms.append(StatusSamples.frozen)
    document.vms[3].rpoForecast = VMStatus.Forecast(
      verdict: .unknown, breachAt: StatusSamples.time(secondsAgo: -300), reason: "nothing was measured")
    return document
  }

  @Test("status tells a risk with its time, its reason, the bottleneck and what helps")
  func table() {
    let text = StatusTable.render(document, now: StatusSamples.now)
    #expect(
      text.contains(
        "\n  RPO AT RISK, missed in 30 s: the pass that runs is expected to commit, in 120 s; "
          + "the rpo ends in 30 s (link: the link is full"))
    #expect(text.contains("\n  RPO MISSED: connect?[31m fails\n"))
    #expect(!text.contains("unknown: no point yet"), "the line of the VM says it")
    var fine = document
    fine.vms[0].rpoForecast?.verdict = .met
    #expect(!StatusTable.render(fine, now: StatusSamples.now).contains("AT RISK"))
    fine.vms[0].rpoForecast?.verdict = .unknown
    #expect(StatusTable.render(fine, now: StatusSamples.now).contains("whether the rpo is met is unknown: "))
  }

  @Test("what slow passes wait for is told, of quick ones nothing")
  func bottleneck() {
    var document = StatusSamples.document
    document.vms[0].lastPass?.bottleneck = .codec
    document.vms[2].running?.bottleneck = .sourceRead
    let before = StatusTable.render(document, now: StatusSamples.now)
    #expect(!before.contains("codec") && before.contains("\n  this pass waits most for: source-read"))
    document.vms[0].lastPass?.durationSeconds = 100
    document.vms[0].lastPass?.stages = VMStatus.StageSeconds(sourceRead: 0.01, codec: 61)
    let text = StatusTable.render(document, now: StatusSamples.now)
    #expect(text.contains("\n  the last pass waited most for: codec (codec 1m 1s)"))
  }

  @Test("JSON has the forecast and the seconds that are left, and reads back")
  func json() throws {
    let bytes = try StatusJSON.encode(document, now: StatusSamples.now)
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains("\"verdict\" : \"at-risk\"") && text.contains("\"rpo_breach_in_seconds\" : 30"))
    #expect(text.contains("\"rpo_breach_in_seconds\" : -6300"))
    #expect(text.contains("\"bottleneck\" : \"link\"") && text.contains("\"source_read\" : 1.5"))
    let again = try StatusJSON.decode(bytes)
    #expect(again.vms.map(\.rpoForecast) == document.vms.map(\.rpoForecast))
    #expect(again.vms[0].stageSeconds == document.vms[0].stageSeconds)
  }

  @Test("metrics have the moment of a breach before it, a verdict for every VM, and seconds a stage")
  func metrics() throws {
    let text = MetricsText.render(document, processStart: StatusSamples.now)
    let web = "{vm=\"web01\",vm_id=\"00000000-0000-0000-0000-000000000001\""
    for line in [
      "vmrepl_rpo_breach_expected_timestamp_seconds\(web)} 1795348830",
      "vmrepl_pass_commit_expected_timestamp_seconds\(web)} 1795348920",
      "vmrepl_rpo_forecast\(web),verdict=\"at-risk\"} 1", "vmrepl_rpo_forecast\(web),verdict=\"met\"} 0",
      "vmrepl_stage_seconds_total\(web),stage=\"source-read\"} 1.5",
      "vmrepl_stage_seconds_total\(web),stage=\"link\"} 20",
    ] {
      #expect(text.contains("\n\(line)\n"), "missing: \(line)")
    }
    let breaches = text.split(separator: "\n").filter { $0.hasPrefix("vmrepl_rpo_breach") }
    #expect(breaches.count == 2, "none for what is unknown")
    var receiver = document
    receiver.role = .receiver
    #expect(!MetricsText.render(receiver, processStart: StatusSamples.now).contains("rpo_forecast"))
  }

  @Test("promtool accepts them", .enabled(if: Judge.isUsable("promtool"), "promtool is not installed"))
  func promtoolAccepts() throws {
    let result = try Judge.run(
      "promtool", ["check", "metrics"],
      input: MetricsText.render(document, processStart: StatusSamples.now))
    #expect(result.status == 0 && result.output == "", "\(result.output)")
  }
}
