import ReplModel

/// What there is to say of a VM besides its line in the table: only what is out of the ordinary.
enum StatusNotes {
  /// Names of disks that are listed one by one; a VM with more has its number told.
  private static let listedDisks = 8

  static func lines(of vm: VMStatus, now: WallTime) -> [String] {
    var lines: [String] = []
    if let found = vm.found {
      lines.append(
        "found in \(SafeText.printable(found.folder)); to protect it, put this beneath vms: "
          + SafeText.printable(found.configLine, limit: 512))
    }
    if let point = vm.fuzzyPoint {
      let age = AmountText.duration(seconds: now.seconds(since: point.frozenAt))
      lines.append(
        "newer point \(point.reference) (\(age) old) is fuzzy: failover does not take it by default")
    }
    if let count = vm.pointCount, count > 1, let oldest = vm.oldestPoint {
      let age = AmountText.duration(seconds: now.seconds(since: oldest.frozenAt))
      lines.append("\(count) recovery points are kept, the oldest is \(age) old")
    }
    if let seconds = vm.clockSkewSeconds, abs(seconds) > VMStatus.clockSkewLimitSeconds {
      let (amount, way) = (AmountText.duration(seconds: abs(seconds)), seconds > 0 ? "ahead of" : "behind")
      lines.append(
        "CLOCKS DIFFER: that of the other side is \(amount) \(way) this one, and the lag is wrong by as much")
    }
    lines += doubts(vm)
    lines += disks(vm.disks ?? [])
    if let freeze = vm.lastFreeze, freeze.provider != "none" || freeze.guestHeldSeconds != nil {
      lines.append(hold(freeze))
    }
    lines += HintNotes.lines(of: vm, now: now)
    if let leftovers = vm.leftovers {
      lines.append("left behind: \(SafeText.printable(leftovers, limit: 512))")
    }
    return lines
  }

  private static func doubts(_ vm: VMStatus) -> [String] {
    var lines: [String] = []
    if let found = vm.divergence {
      lines.append(
        "DIVERGED since \(found.since): \(SafeText.printable(found.detail, limit: 512)); replication has "
          + "stopped and overwrites nothing: run \"repl-receiver adopt --verify\" to keep what is right, or "
          + "\"repl-receiver reseed\" to copy anew")
    }
    if let found = vm.suspicion {
      lines.append(
        "SUSPECT since \(found.since): \(SafeText.printable(found.detail, limit: 512)); "
          + "failover needs --force")
    }
    if let verification = vm.verification { lines.append(text(verification)) }
    return lines
  }

  private static func text(_ verification: VMStatus.Verification) -> String {
    let (done, total) = (max(0, verification.doneBytes), max(1, verification.totalBytes))
    let whole = verification.completeAt.map { "all of it last by \($0)" } ?? "never yet all of it"
    return "verified \(Int(Double(min(done, total)) / Double(total) * 100))% of this round, last at "
      + "\(verification.lastAt); \(whole)"
  }

  private static func hold(_ freeze: VMStatus.Freeze) -> String {
    let held = AmountText.duration(seconds: freeze.heldSeconds)
    let guest = freeze.guestHeldSeconds.map {
      ", the guest between its hooks for \(AmountText.duration(seconds: $0))"
    }
    let clones = freeze.cloneSeconds.map { ", cloning took \(AmountText.duration(seconds: $0))" }
    return
      "last freeze (\(SafeText.printable(freeze.provider, limit: 32))) was held for \(held)\(guest ?? "")"
      + (clones ?? "")
  }

  private static func disks(_ disks: [VMStatus.Disk]) -> [String] {
    var lines = disks.filter { $0.state == .seeding }.prefix(listedDisks).map(seeding)
    for state in [VMStatus.Disk.State.excluded, .detached] {
      let slots = disks.filter { $0.state == state }.map { "\($0.slot)" }
      guard !slots.isEmpty else { continue }
      let rest = slots.count > listedDisks ? " and \(slots.count - listedDisks) more" : ""
      let what = state == .excluded ? "not replicated (exclude_disks)" : "detached, the copy is kept"
      lines.append("\(slots.prefix(listedDisks).joined(separator: ", "))\(rest): \(what)")
    }
    return lines
  }

  private static func seeding(_ disk: VMStatus.Disk) -> String {
    let (done, size) = (disk.seededBytes ?? 0, disk.sizeBytes ?? 0)
    let share = size > 0 ? " \(Int(Double(max(0, min(done, size))) / Double(size) * 100))%" : ""
    return "\(disk.slot): added, first copy under way\(share) "
      + "(\(AmountText.size(bytes: done)) of \(AmountText.size(bytes: size))); points do not hold it yet"
  }
}
