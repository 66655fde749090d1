import ReplIO
import ReplModel

/// A disk that left the VM and comes back: its first copy overwrites what older points need of it.
extension Standby {
  /// Whether the first copy of a disk can begin: no point that must stay needs what is there of it.
  public func mayBegin(_ offered: PassOffer.Disk) throws(StandbyError) -> Bool {
    let ending = pointsEnded(by: [offered])
    if ending.isEmpty { return true }
    let lock = try holds.lock()
    defer { withExtendedLifetime(lock) {} }
    return try retentionPlan().protected(among: ending).isEmpty
  }

  /// Older points that end when these disks get their first copy. The newest is never one of them.
  private func pointsEnded(by offered: [PassOffer.Disk]) -> [PointReference] {
    let returning = offered.map(\.disk).filter { id in
      catalog.disk(id).map { $0.state != .ready } ?? false
    }
    return catalog.points.dropLast().filter { point in
      returning.contains { point.disk($0) != nil }
    }.map(\.reference)
  }

  /// Runs `body` with the points that end; none of them gets a pin or a reader meanwhile. Throws
  /// `.diskChanged` when one of them must stay: a sender ends no point that retention would not.
  func endingPoints<Value>(
    for offer: PassOffer, _ body: (Set<PointReference>) throws(StandbyError) -> Value
  ) throws(StandbyError) -> Value {
    guard !pointsEnded(by: offer.disks).isEmpty else { return try body([]) }
    let lock = try holds.lock()
    defer { withExtendedLifetime(lock) {} }
    let plan = try retentionPlan()
    for disk in offer.disks {
      let kept = plan.protected(among: pointsEnded(by: [disk]))
      guard let first = kept.first else { continue }
      throw .diskChanged(
        disk: disk.disk,
        detail: "\(disk.slot) comes back, and its first copy would overwrite what recovery points "
          + "\(kept.prefix(8).map { "\($0)" }.joined(separator: ", "))\(kept.count > 8 ? " and others" : "") "
          + "need of it, which are pinned, being read or younger than retention's floor: it is copied when "
          + "they have ended by retention, or when they are dropped: repl-receiver points drop "
          + "\(catalog.vm) \(first); until then leave the disk out at the sender (exclude_disks)")
    }
    let ending = pointsEnded(by: offer.disks)
    let value = try body(Set(ending))
    droppedInPass += ending.map { ($0, .returned) }
    return value
  }
}
