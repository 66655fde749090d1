import ReplModel
import ReplProtocol
import ReplSource
import Synchronization

/// Which disks of a view a pass brings, and which are left to seed sessions: those that were added to a VM
/// whose newest point does not hold them. The record says so before the offer, the receiver's answer after.
final class PassSelection: Sendable {
  private let view: VMView
  private let settings: SourceSettings
  private let state: SourceState
  private let chosen = Mutex(Chosen())

  private struct Chosen {
    /// Nil until an answer said otherwise than the record.
    var deferred: Set<DiskID>?
    var current: SourceDisks?
    var corrections = 0
  }

  /// Every correction is one more connection; an honest receiver needs two.
  private static let correctionLimit = 4

  init(view: VMView, settings: SourceSettings, state: SourceState) {
    self.view = view
    self.settings = settings
    self.state = state
  }

  private var address: String { "\(settings.receiver)" }
  private var record: SeedRecord? { state.seedRecord(of: view.vm, at: address) }

  /// The disks of the next offer; the same as last time unless an answer corrected it. `features` are those
  /// of both sides: without seeds every disk is part of the pass.
  func disks(_ features: Set<Feature>) -> SourceDisks {
    let deferred = features.contains(.seed) ? chosen.withLock { $0.deferred } ?? recorded() : []
    return chosen.withLock { chosen in
      let disks = view.disks.filter { !deferred.contains($0.id) }
      if let current = chosen.current, current.ids == disks.map(\.id) { return current }
      let made = SourceDisks(disks, pageSizeBytes: settings.pageSizeBytes)
      chosen.current = made
      return made
    }
  }

  /// The disks of the last offer; all of them before the first.
  var current: SourceDisks {
    chosen.withLock { $0.current } ?? SourceDisks(view.disks, pageSizeBytes: settings.pageSizeBytes)
  }

  /// Disks of the view that the last offer left out.
  var deferred: [DiskID] {
    let taken = Set(current.ids)
    return view.disks.map(\.id).filter { !taken.contains($0) }
  }

  private func recorded() -> Set<DiskID> {
    guard let record else { return [] }
    let deferred = view.disks.map(\.id).filter(record.defers)
    // Where every disk is new there is no point to keep going without them.
    return view.disks.contains { record.members.contains($0.id) } ? Set(deferred) : []
  }

  /// Whether the answer agrees with what was offered. If not, the pass is offered again, at once.
  func agrees(with accept: Accept, _ features: Set<Feature>) throws(PassError) -> Bool {
    guard features.contains(.seed) else { return true }
    let deferred = right(accept)
    guard deferred != Set(self.deferred) else { return true }
    let corrections = chosen.withLock { chosen in
      chosen.deferred = deferred
      chosen.corrections += 1
      return chosen.corrections
    }
    guard corrections <= Self.correctionLimit else {
      throw .wire(
        .value(.accept, field: "disks", found: "another answer each time", expected: "the same disks"))
    }
    remember(accept)
    return false
  }

  /// What to leave out, by the receiver's answer; disks that were not offered are known only by the members
  /// of its newest point.
  private func right(_ accept: Accept) -> Set<DiskID> {
    guard let members = accept.newest?.disks,
      view.disks.contains(where: { members.contains($0.id) })
    else { return [] }
    let record = record
    return Set(
      view.disks.map(\.id).filter { disk in
        if members.contains(disk) { return false }
        guard let answer = accept.disks.first(where: { $0.disk == disk }) else { return true }
        return answer.mode == .seed && record?.isComplete(disk, root: answer.effectiveRoot) != true
      })
  }

  // MARK: - The record

  private func remember(_ accept: Accept) {
    var record = record ?? SeedRecord(receiver: accept.receiver, members: [])
    if record.receiver != accept.receiver { record = SeedRecord(receiver: accept.receiver, members: []) }
    record.enter(members: accept.newest?.disks ?? [])
    // A copy that is not what the record says of it begins again.
    for answer in accept.disks where record[answer.disk] != nil {
      if !record.isComplete(answer.disk, root: answer.effectiveRoot) {
        record.seeds.removeAll { $0.disk == answer.disk }
      }
    }
    keep(record)
  }

  /// The pass has committed this point.
  func remember(_ point: RecoveryPoint) {
    var record = record ?? SeedRecord(receiver: point.receiver, members: [])
    if record.receiver != point.receiver { record = SeedRecord(receiver: point.receiver, members: []) }
    record.enter(members: point.disks.map(\.disk))
    let present = Set(view.disks.map(\.id))
    record.seeds.removeAll { !present.contains($0.disk) }
    keep(record)
  }

  private func keep(_ record: SeedRecord) {
    // A hint: without it the next pass learns the same from the receiver.
    try? state.keep(record, of: view.vm, at: address)
  }
}
