import ReplModel

/// What there is to say of change hints: which disks were read in full and why, and what is kept.
enum HintNotes {
  /// Disks that are told one by one.
  private static let listedDisks = 8

  static func lines(of vm: VMStatus, now: WallTime) -> [String] {
    guard let hint = vm.hint else { return [] }
    let source = SafeText.printable(hint.source, limit: 32)
    var lines: [String] = []
    let used = hint.disks.filter { $0.refusal == nil && $0.contradictionOffset == nil }
    lines += hint.disks.filter { $0.holeRefusal != nil }.prefix(listedDisks).map(holes)
    if !used.isEmpty {
      let changed = used.reduce(Int64(0)) { $0 + ($1.changedBytes ?? 0) }
      let audited = used.reduce(Int64(0)) { $0 + $1.auditedBytes }
      lines.append(
        "change hints (\(source)): \(AmountText.size(bytes: changed)) may have changed, "
          + "\(AmountText.size(bytes: audited)) were checked besides")
    }
    lines += hint.disks.filter { disk in
      disk.contradictionOffset != nil || disk.refusal != nil && disk.holeRefusal == nil
    }.prefix(listedDisks)
      .map { disk in
        if let offset = disk.contradictionOffset {
          return
            "\(disk.slot): CHANGE HINT WAS WRONG at byte \(offset) (\(source)): all of the disk was read; "
            + "see that its source is in order, then run `repl-sender hint trust`"
        }
        return "\(disk.slot): read in full, without a change hint: "
          + SafeText.printable(disk.refusal ?? "", limit: 512)
      }
    if let since = hint.keptSince {
      let age = AmountText.duration(seconds: now.seconds(since: since))
      let size = hint.keptBytes.map { ", \(AmountText.size(bytes: $0)) at most" } ?? ""
      lines.append("clones are kept for the next pass since \(age)\(size)")
    }
    return lines
  }

  private static func holes(_ disk: VMStatus.Hint.Disk) -> String {
    guard disk.holeOffset != nil else {
      return "\(disk.slot): read in full, holes as well: "
        + SafeText.printable(disk.holeRefusal ?? "", limit: 512)
    }
    return
      "\(disk.slot): STORAGE CALLED DATA A HOLE: \(SafeText.printable(disk.holeRefusal ?? "", limit: 512)): "
      + "all of the disk was read; see that its filesystem is in order, then run `repl-sender hint trust`"
  }
}
