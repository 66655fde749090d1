import Foundation
import ReplModel
import Testing

@testable import ReplService

/// What is told of change hints.
@Suite("Status of change hints") struct HintStatusTests {
  static var hinted: VMStatus {
    var vm = StatusSamples.idle
    vm.name = "hinted"
    let slots = (0..<3).compactMap { DiskSlot(bus: .scsi, controller: 0, unit: $0) }
    vm.lastFreeze = VMStatus.Freeze(provider: "reflink", heldSeconds: 2, cloneSeconds: 0.25)
    vm.hint = VMStatus.Hint(
      source: "reflink",
      disks: [
        .init(slot: slots[0], refusal: nil, changedBytes: 8192, auditedBytes: 1 << 20),
        .init(slot: slots[1], refusal: "no clones\u{1B}[31m", changedBytes: nil, auditedBytes: 0),
        .init(slot: slots[2], refusal: nil, changedBytes: 4096, auditedBytes: 0, contradictionOffset: 77),
      ], contradictions: 2, keptSince: StatusSamples.time(secondsAgo: 60), keptBytes: 3 << 30)
    return vm
  }

  private func document(_ vms: [VMStatus]) -> StatusDocument {
    var document = StatusSamples.document
    document.vms = vms
    return document
  }

  @Test("which disks were left out of reading, which not and why, and what is kept, are told a line each")
  func notes() {
    let table = StatusTable.render(document([Self.hinted]), now: StatusSamples.now)
    let expected = [
      "  last freeze (reflink) was held for 2 s, cloning took 0.3 s",
      "  change hints (reflink): 8 KiB may have changed, 1 MiB were checked besides",
      "  scsi0:1: read in full, without a change hint: no clones?[31m",
      "  scsi0:2: CHANGE HINT WAS WRONG at byte 77 (reflink): all of the disk was read; "
        + "see that its source is in order, then run `repl-sender hint trust`",
      "  clones are kept for the next pass since 1m, 3 GiB at most",
    ]
    #expect(table.split(separator: "\n").dropFirst(3).map { String($0) } == expected)
    #expect(!StatusTable.render(document([StatusSamples.idle]), now: StatusSamples.now).contains("hint"))
  }

  @Test("a storage that called data a hole is told as such, with and without hints, and later passes say why")
  func holes() throws {
    var vm = StatusSamples.idle
    let slots = (0..<2).compactMap { DiskSlot(bus: .scsi, controller: 0, unit: $0) }
    vm.hint = VMStatus.Hint(
      source: "none",
      disks: [
        .init(
          slot: slots[0], refusal: "none", changedBytes: nil, auditedBytes: 0,
          holeRefusal: "byte 7\u{1B}[31m",
          holeOffset: 7),
        .init(slot: slots[1], refusal: "none", changedBytes: nil, auditedBytes: 0, holeRefusal: "distrusted"),
      ], contradictions: 1, keptSince: nil, keptBytes: nil)
    let table = StatusTable.render(document([vm]), now: StatusSamples.now)
    #expect(table.contains("  scsi0:0: STORAGE CALLED DATA A HOLE: byte 7?[31m: all of the disk was read"))
    #expect(table.contains("  scsi0:1: read in full, holes as well: distrusted"))
    #expect(!table.contains("without a change hint") && !table.contains("\u{1B}"))
    #expect(try JSONDecoder().decode(VMStatus.self, from: JSONEncoder().encode(vm)).hint == vm.hint)
  }

  @Test("hints have metrics where a VM has hints, and none where it has not")
  func metrics() {
    let text = MetricsText.render(document([Self.hinted]), processStart: StatusSamples.now)
    let labels = "{vm=\"hinted\",vm_id=\"\(Self.hinted.vm)\"}"
    for sample in [
      "vmrepl_hinted_disks\(labels) 1", "vmrepl_hint_changed_bytes\(labels) 12288",
      "vmrepl_hint_audited_bytes\(labels) 1048576", "vmrepl_hint_contradictions_total\(labels) 2",
      "vmrepl_hint_clones_kept_timestamp_seconds\(labels) 1795348740",
      "vmrepl_last_freeze_clone_seconds\(labels) 0.25",
    ] { #expect(text.contains("\n\(sample)\n"), "\(sample)") }
    let bare = MetricsText.render(document([StatusSamples.idle]), processStart: StatusSamples.now)
    #expect(!bare.contains("hint") && !bare.contains("clone"))
  }
}
