import FoundationEssentials
import ReplIO
import ReplModel

/// How far the standing verification of one standby is: it goes over all disks from the first page to the
/// last, a share a night, and begins again. In the state directory; losing it begins a round anew.
public struct VerifyRound: Sendable, Hashable, Codable {
  private static let limitBytes = 4096

  /// Where it goes on.
  public internal(set) var disk: DiskID
  var leaf: Int64
  /// Bytes of disk that this round has dealt with.
  public internal(set) var doneBytes: Int64
  public internal(set) var lastAt: WallTime?
  /// When the last round that was complete ended.
  public internal(set) var completeAt: WallTime?
  /// The night in which it went on last, and what was dealt with in it.
  var night: String
  var nightBytes: Int64

  static func load(from maps: any StorageDirectory) -> VerifyRound? {
    // Whatever is wrong with it, a round begins anew.
    guard (try? maps.contains(StandbyLayout.verifyRound)) == true,
      // The same.
      let bytes = try? maps.readFile(StandbyLayout.verifyRound, limitBytes: limitBytes)
    else { return nil }
    return RecordJSON.decode(bytes)
  }

  func save(in maps: any StorageDirectory) throws(StandbyError) {
    let bytes = try RecordJSON.encode(self)
    try storing { () throws(IOError) in try maps.replaceFile(StandbyLayout.verifyRound, with: bytes) }
  }
}

/// What one step of the standing verification did.
public struct VerifyStep: Sendable {
  /// Nil when there was nothing to do: the share of this night is done, or there is nothing to compare.
  public let outcome: VerifyOutcome?
  public let round: VerifyRound?
  public let totalBytes: Int64
  /// The step was the last one of its round.
  public let endsRound: Bool
}

extension StandbyStore {
  /// Reads the next part of a standby again, unless its share of this night is done. `night` names the night;
  /// `stepBytes` is how much is read at most. Throws `.lockHeld` when a pass or a failover has the standby.
  public func verifyNext(
    vm: VMID, share: Double, night: String, stepBytes: Int64, bytesPerSecond: Int64,
    progress: (VerifyProgress) -> Bool
  ) throws(StandbyError) -> VerifyStep {
    let idle = VerifyStep(outcome: nil, round: nil, totalBytes: 0, endsRound: false)
    guard let standby = try openForReading(vm: vm, waitSeconds: 0), standby.catalog.fence == nil,
      standby.catalog.divergence == nil, let point = standby.catalog.newest
    else { return idle }
    let maps = standby.maps
    let total = point.disks.reduce(0) { $0 + $1.grid.sizeBytes }
    var round = VerifyRound.next(VerifyRound.load(from: maps), in: point, night: night)
    let left = Int64((Double(total) * share).rounded(.up)) - round.nightBytes
    guard left > 0, let member = point.disk(round.disk) else {
      return VerifyStep(outcome: nil, round: round, totalBytes: total, endsRound: false)
    }
    _ = consume standby
    let leafBytes = Int64(member.grid.leafSizeBytes)
    let count = max(1, (min(left, stepBytes) + leafBytes - 1) / leafBytes)
    let leaves = round.leaf..<min(member.grid.leafCount, round.leaf + count)
    var request = VerifyRequest(.leaves(leaves))
    request.disk = member.disk
    request.bytesPerSecond = bytesPerSecond
    request.waits = false
    guard let outcome = try verify(vm: vm, request, progress: progress) else { return idle }
    let endsRound = round.advance(over: leaves, member, in: point, at: time.wallTime())
    try round.save(in: maps)
    return VerifyStep(outcome: outcome, round: round, totalBytes: total, endsRound: endsRound)
  }
}

extension VerifyRound {
  /// Where a night goes on: at the first disk when the one where it was is no longer there.
  static func next(_ held: VerifyRound?, in point: RecoveryPoint, night: String) -> VerifyRound {
    let first = point.disks[0].disk
    var round =
      held
      ?? VerifyRound(
        disk: first, leaf: 0, doneBytes: 0, lastAt: nil, completeAt: nil, night: night, nightBytes: 0)
    if round.night != night { (round.night, round.nightBytes) = (night, 0) }
    guard let member = point.disk(round.disk), (0..<member.grid.leafCount).contains(round.leaf) else {
      (round.disk, round.leaf, round.doneBytes) = (first, 0, 0)
      return round
    }
    return round
  }

  /// True when that was the end of the last disk.
  mutating func advance(
    over leaves: Range<Int64>, _ member: DiskPoint, in point: RecoveryPoint, at now: WallTime
  ) -> Bool {
    let end = min(leaves.upperBound * Int64(member.grid.leafSizeBytes), member.grid.sizeBytes)
    let bytes = end - leaves.lowerBound * Int64(member.grid.leafSizeBytes)
    (doneBytes, nightBytes, lastAt) = (doneBytes + bytes, nightBytes + bytes, now)
    leaf = leaves.upperBound
    guard leaf >= member.grid.leafCount else { return false }
    let index = point.disks.firstIndex { $0.disk == member.disk } ?? 0
    leaf = 0
    if index + 1 < point.disks.count {
      disk = point.disks[index + 1].disk
      return false
    }
    (disk, doneBytes, completeAt) = (point.disks[0].disk, 0, now)
    return true
  }
}
