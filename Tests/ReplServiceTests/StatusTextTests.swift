import ReplModel
import Testing

@testable import ReplService

/// The table for terminals and the JSON of a status document.
@Suite("Status as text")
struct StatusTextTests {
  private func table(_ document: StatusDocument = StatusSamples.document) -> String {
    StatusTable.render(document, now: StatusSamples.now)
  }

  @Test("the table is aligned, judges the lag, and shows progress and errors below their VM")
  func wholeTable() throws {
    let lines = table().split(separator: "\n").map { String($0) }
    let head = "VM                 STATE    NEWEST POINT                  LAG                 "
    let web = "web01              idle     1.7 2026-11-22T11:55:54.500Z  4m 6s (ok)          "
    let db = "db \"prod\"\\1??[31m  failing  1.3 2026-11-22T10:00:00.000Z  2h (LATE, rpo 15m)  "
    let big = "big                seeding  none                          no point yet        "
    try #require(lines.count == 7)
    #expect(lines[0] == "sender 1.2.3, running, 2026-11-22T12:00:00.000Z")
    #expect(lines[1] == head + "LAST PASS  READ   CHANGED  SENT")
    #expect(lines[2] == web + "4.3 s      3 GiB  1.5 MiB  391 KiB")
    #expect(lines[3] == db + "-          -      -        -")
    let cause = "dr:7443: connection refused; is repl-receiver running?"
    #expect(lines[4] == "  error 1m 5s ago in connect: \(cause) [tries again by itself]")
    #expect(lines[5] == big + "-          -      -        -")
    #expect(lines[6] == "  now: send 50% (512 GiB of 1 TiB), 1h 1m, 200 GiB sent")
  }

  @Test("nothing in the table can act on a terminal")
  func tableIsPrintable() {
    var document = StatusSamples.document
    document.version = "\u{1B}]0;x\u{7}"
    document.vms[0].name = String(repeating: "\u{202E}x", count: 500)
    document.vms[2].running?.phase = "\u{1B}[2J"
    document.vms[1].lastFailure?.cause = "a\nb\u{9B}c" + String(repeating: "y", count: 5000)
    for line in table(document).split(separator: "\n", omittingEmptySubsequences: false) {
      #expect(SafeText.printable(line, limit: 10_000) == line)
      #expect(line.count < 800)
    }
    #expect(table(document).split(separator: "\n").count == 7)
  }

  @Test("the status of as many VMs as a configuration may have is what the client takes")
  func largestStatus() throws {
    var vm = StatusSamples.document.vms[1]
    vm.name = String(repeating: "n", count: 255)
    vm.lastFailure?.cause = String(repeating: "c", count: 1024)
    var document = StatusSamples.document
    document.vms = (0..<100).map { _ in vm }
    let share = try StatusJSON.encode(document, now: StatusSamples.now, isCompact: true)
    #expect(share.count * ServiceLimits.configVMs / 100 < ServiceLimits.statusBytes, "\(share.count)")
    #expect(try StatusJSON.decode(share).vms.count == 100)
    #expect(!share.dropLast().contains(UInt8(ascii: "\n")), "nothing on the wire is for the eye")
    #expect(ServiceLimits.statusDeadlineSeconds < ServiceLimits.httpDeadlineSeconds)
  }

  @Test("status that no daemon gave says so, and a table without VMs says so")
  func emptyAndStopped() {
    let document = StatusDocument(
      role: .receiver, version: "1", daemonRunning: false, generatedAt: StatusSamples.now, vms: [])
    #expect(table(document) == "receiver 1, NOT RUNNING, as read from disk, 2026-11-22T12:00:00.000Z\nno VMs")
  }

  @Test("a receiver reads no disks, and what runs there receives")
  func receiverTable() {
    var document = StatusSamples.document
    document.role = .receiver
    document.vms[2].running?.totalBytes = 0
    let text = table(document)
    #expect(text.contains("4.3 s      -     1.5 MiB"))
    #expect(text.contains("now: send, 1h 1m, 200 GiB received"))
    #expect(!text.contains("%"))
  }

  @Test("a failure that a later pass made good is not shown")
  func oldFailureIsHistory() {
    var document = StatusSamples.document
    document.vms = [StatusSamples.idle]
    document.vms[0].lastFailure = VMStatus.Failure(
      at: StatusSamples.time(secondsAgo: 3600), phase: "send", cause: "cut off", remedy: .retryPass)
    #expect(!table(document).contains("cut off"))
    document.vms[0].lastFailure?.at = StatusSamples.time(secondsAgo: 10)
    #expect(table(document).contains("error 10 s ago in send: cut off [tries again by itself]"))
    document.vms[0].lastFailure?.at = StatusSamples.time(secondsAgo: 3600)
    document.vms[0].lastFailure?.remedy = .stopVM
    document.vms[0].state = .stopped
    #expect(table(document).contains("[waits for you]"))
  }

  @Test(
    "a lag is late when it is above the objective, not at it",
    arguments: [(899.0, "(ok)"), (900, "(ok)"), (901, "(LATE")])
  func judgement(seconds: Double, expected: String) {
    var document = StatusSamples.document
    document.vms = [StatusSamples.idle]
    document.vms[0].newestPoint?.frozenAt = StatusSamples.time(secondsAgo: seconds)
    #expect(table(document).contains(expected))
  }

  @Test(
    "sizes have three figures",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (102_400, "100 KiB"),
      (1 << 40, "1 TiB"),
      (Int64.max, "8 EiB"), (-5, "0 B"),
    ] as [(Int64, String)])
  func sizes(bytes: Int64, expected: String) { #expect(AmountText.size(bytes: bytes) == expected) }

  @Test(
    "durations have two units at most",
    arguments: [
      (0, "0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1m"), (3599, "59m 59s"),
      (3600, "1h"), (90_000, "1d 1h"), (-1, "0 s"), (.infinity, "0 s"), (.nan, "0 s"),
      (1e300, "37037d"),
    ] as [(Double, String)])
  func durations(seconds: Double, expected: String) {
    #expect(AmountText.duration(seconds: seconds) == expected)
  }

  @Test("the JSON has sorted snake_case keys and the computed lag, and reads back as the same document")
  func jsonRoundTrip() throws {
    let bytes = try StatusJSON.encode(StatusSamples.document, now: StatusSamples.now)
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains("\"lag_seconds\" : 245.5"))
    #expect(text.contains("\"passes_committed\" : 7"))
    #expect(text.contains("\"frozen_at\" : \"2026-11-22T11:55:54.500Z\""))
    #expect(text.contains("\"state\" : \"idle\""))
    #expect(text.hasSuffix("}\n"))
    // Three VMs, one of them without a point and so without a lag.
    #expect(text.split(separator: "lag_seconds").count == 3)
    let keys = text.split(separator: "\n").filter { $0.hasPrefix("  \"") }.map { $0.prefix { $0 != ":" } }
    #expect(keys == keys.sorted() && keys.count == 5)
    let again = try StatusJSON.encode(try StatusJSON.decode(bytes), now: StatusSamples.now)
    #expect(again == bytes)
  }

  @Test("what is not a status document is refused with a sentence")
  func hostileJSON() {
    let nested = String(repeating: "[", count: 100_000)
    for text in ["", "{", "[]", "{\"role\":\"x\"}", "null", nested, "\u{0}"] {
      let error = #expect(throws: StatusJSONError.self) { try StatusJSON.decode(Array(text.utf8)) }
      #expect(error?.description.contains("same version") == true)
    }
    let limit = ServiceLimits.statusBytes
    let large = [UInt8](repeating: 32, count: limit + 1)
    let error = #expect(throws: StatusJSONError.self) { try StatusJSON.decode(large) }
    #expect(error?.detail == "\(limit + 1) bytes, at most \(limit) are allowed")
  }
}
