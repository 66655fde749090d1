import ReplIO
import ReplModel

/// What is known of an older recovery point after it was verified.
public struct PointVerdict: Sendable {
  /// Whether the point can be had as it was.
  public enum Answer: String, Sendable, Hashable, Codable {
    /// The disks were read and are right, and the undo files lead from them to just this point.
    case right
    /// A part of it cannot be had any more as it was.
    case damaged
    case inconclusive
  }

  public let point: PointReference
  public let answer: Answer
  /// Why, for people; nil when it is right.
  public let detail: String?
  /// What reading the disks found.
  public let disks: VerifyOutcome
}

extension StandbyStore {
  /// Verifies an older point: the disks against the newest one, page by page, and every undo file on the way
  /// back to it, whose pages together with the others must give the roots that the point had. Nil when the
  /// store has no such standby.
  public func verify(
    vm: VMID, point reference: PointReference, _ request: VerifyRequest,
    progress: (VerifyProgress) -> Bool = { _ in true }
  ) throws(StandbyError) -> PointVerdict? {
    let pace = VerifyPace(request: request)
    guard let first = try pace.open(vm, in: self, goesOn: { true }) else { return nil }
    guard first.catalog.kept(reference) != nil else {
      let known = first.catalog.points.map { "\($0.reference)" }.joined(separator: ", ")
      throw .badOffer(detail: "recovery point \(reference) is not kept: there are \(known)")
    }
    _ = consume first
    guard let outcome = try verify(vm: vm, request, progress: progress),
      let standby = try pace.open(vm, in: self, goesOn: { true })
    else { return nil }
    func verdict(_ answer: PointVerdict.Answer, _ detail: String?) -> PointVerdict {
      PointVerdict(point: reference, answer: answer, detail: detail, disks: outcome)
    }
    guard let kept = standby.catalog.kept(reference) else {
      return verdict(.damaged, "the point ended while it was verified")
    }
    if kept.isDamaged { return verdict(.damaged, kept.damage.map(\.detail).joined(separator: "; ")) }
    guard outcome.isWholePoint, standby.catalog.newest?.reference == outcome.point else {
      return verdict(.inconclusive, "a newer point came while the disks were read: verify it again")
    }
    guard outcome.verdict == .identical else {
      return verdict(
        outcome.verdict == .differing ? .damaged : .inconclusive,
        "the disks are \(outcome.verdict.rawValue), and the point takes what did not change from them")
    }
    do throws(StandbyError) {
      for member in kept.point.disks { try standby.prove(member, at: kept) }
    } catch {
      switch error {
      case .pointLost, .journalDamaged: return verdict(.damaged, "\(error)")
      case .notRepaired(let detail): return verdict(.inconclusive, detail)
      default: throw error
      }
    }
    let now = time.wallTime()
    try standby.update { catalog in
      for index in catalog.kept.indices where catalog.kept[index].reference == reference {
        catalog.kept[index].verifiedAt = now
      }
    }
    return verdict(.right, nil)
  }
}

extension Standby {
  /// Throws `.pointLost` or `.journalDamaged` when the undo files do not lead from the map of the newest
  /// point to the root that the disk had, `.notRepaired` when that cannot be told.
  fileprivate func prove(_ member: DiskPoint, at kept: KeptPoint) throws(StandbyError) {
    if let now = catalog.newest?.disk(member.disk), now.keyID != member.keyID {
      throw .notRepaired(
        detail: "disk \(member.disk) has got another digest key since then: its old root cannot be derived "
          + "from the map that is here")
    }
    let map = PointMap(standby: self, kept: kept, member: member)
    defer { map.remove() }
    _ = try map.make()
  }
}
