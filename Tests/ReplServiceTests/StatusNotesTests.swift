import ReplModel
import Testing

@testable import ReplService

/// What the table says of a VM besides its line.
@Suite("Status notes")
struct StatusNotesTests {
  private func table(_ vms: [VMStatus], warnings: [String]? = nil) -> String {
    var document = StatusSamples.document
    document.vms = vms
    document.warnings = warnings
    return StatusTable.render(document, now: StatusSamples.now)
  }

  @Test("freezes, disks out of the ordinary, fuzzy points and leftovers are below their VM, a line each")
  func notes() {
    let lines = table([StatusSamples.frozen]).split(separator: "\n").map { String($0) }
    let expected = [
      "  newer point 1.6 (5 s old) is fuzzy: failover does not take it by default",
      "  scsi0:1: added, first copy under way 25% (1 GiB of 4 GiB); points do not hold it yet",
      "  scsi0:2: not replicated (exclude_disks)",
      "  scsi0:3: detached, the copy is kept",
      "  last freeze (reflink) was held for 13 s, the guest between its hooks for 0.3 s",
      "  left behind: the folder /srv/ds1/mail/.vmrepl-1-2 could not be removed",
    ]
    #expect(Array(lines.dropFirst(3)) == expected)
    #expect(lines[2].contains("1.5 ") && lines[2].contains("10m (ok)"), "the lag is that of the point before")
  }

  @Test("clocks that differ by more than a minute are told, with the side that is ahead, and exported")
  func clocks() {
    var vm = StatusSamples.frozen
    vm.clockSkewSeconds = 59
    #expect(!table([vm]).contains("CLOCKS DIFFER"))
    vm.clockSkewSeconds = 3600
    #expect(table([vm]).contains("CLOCKS DIFFER: that of the other side is 1h ahead of this one"))
    vm.clockSkewSeconds = -90
    #expect(table([vm]).contains("is 1m 30s behind this one"), "\(table([vm]))")
    var document = StatusSamples.document
    document.vms = [vm]
    let metrics = MetricsText.render(document, processStart: StatusSamples.now)
    #expect(metrics.contains("vmrepl_clock_skew_seconds{") && metrics.contains("} -90\n"))
  }

  @Test("a VM with fuzzy points only says so instead of a lag")
  func fuzzyOnly() {
    var vm = StatusSamples.frozen
    vm.newestPoint = nil
    #expect(vm.lagSeconds(now: StatusSamples.now) == nil && vm.restingState == .idle)
    #expect(table([vm]).contains("fuzzy points only"))
    vm.enter(.init(reference: vm.fuzzyPoint!.reference, frozenAt: StatusSamples.now, label: .quiesced))
    #expect(vm.fuzzyPoint == nil && vm.lagSeconds(now: StatusSamples.now) == 0)
  }

  @Test(
    "a VM that is found and not protected shows the line to put into the configuration; warnings come first")
  func found() throws {
    var vm = StatusSamples.vm(5, "new", .found)
    vm.found = VMStatus.Found(folder: "/srv/ds1", configLine: "- /srv/ds1/new/new.vmx")
    let text = table([vm], warnings: ["/srv/ds2: open failed: Permission denied\u{1B}"])
    let lines = text.split(separator: "\n")
    #expect(lines[1] == "warning: /srv/ds2: open failed: Permission denied?")
    #expect(lines[3].hasPrefix("new  found-not-protected  none          -  "))
    #expect(
      lines[4] == "  found in /srv/ds1; to protect it, put this beneath vms: - /srv/ds1/new/new.vmx")
    var document = StatusSamples.document
    document.vms = [vm]
    let json = String(decoding: try StatusJSON.encode(document, now: StatusSamples.now), as: UTF8.self)
    #expect(json.contains("\"config_line\" : \"- /srv/ds1/new/new.vmx\""))
    #expect(json.contains("\"state\" : \"found-not-protected\""))
  }

  @Test("a status that an earlier version kept is read, without what it did not know")
  func olderStatus() throws {
    let old = """
      {"vms": [{"vm": "00000000-0000-0000-0000-000000000001", "name": "a", "state": "idle",
      "rpo_seconds": 900,
      "passes_committed": 1, "passes_failed": 0}], "role": "sender", "version": "0.1", "daemon_running": true,
      "generated_at": "2026-11-22T12:00:00.000Z"}
      """
    let document = try StatusJSON.decode(Array(old.utf8))
    let vm = try #require(document.vms.first)
    #expect(vm.disks == nil && vm.lastFreeze == nil && vm.leftovers == nil && document.warnings == nil)
    #expect(vm.fuzzyPoint == nil && vm.found == nil && vm.state == .idle)
  }
}
