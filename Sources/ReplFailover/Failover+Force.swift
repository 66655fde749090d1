import ReplModel
import ReplStandby

/// What may keep a standby from being started, and how a person takes it all the same.
extension Failover {
  /// Why the standby may not hold the point that it should; nothing for one that was fenced for that point,
  /// which is the running VM's.
  func doubts(about catalog: Catalog, _ point: PointReference) -> [String] {
    guard catalog.fence == nil || catalog.fence?.point != point else { return [] }
    var doubts: [String] = []
    if let divergence = divergence(of: catalog) { doubts.append(divergence) }
    if let suspicion = catalog.suspicion {
      doubts.append("since \(suspicion.at) it is suspect: \(SafeText.printable(suspicion.detail))")
    }
    if let kept = catalog.kept(point), kept.isDamaged {
      let why = Set(kept.damage.map(\.detail)).sorted().joined(separator: "; ")
      doubts.append("recovery point \(point) is damaged: \(SafeText.printable(why))")
    }
    return doubts
  }

  /// What a check finds of disks that somebody else wrote; everything else that it finds is thrown.
  func doubts(
    about catalog: Catalog, check: (_ takesChanged: Bool) throws(StandbyError) -> Void
  ) throws(StandbyError) -> [String] {
    do throws(StandbyError) {
      try check(false)
      return []
    } catch {
      guard case .diverged(_, _, let detail) = error else { throw error }
      try check(true)
      guard catalog.fence != nil else { return ["\(error)"] }
      return [
        "\(SafeText.printable(detail)): if the VM was started since the failover, going to another point "
          + "destroys what it wrote, in part: copy the disks first, or go on with the point that they hold"
      ]
    }
  }

  /// Devices do not tell whether the VM was started since the files of another point were placed.
  func doubts(ofDevicesIn catalog: Catalog, _ progress: FailoverProgress?) -> [String] {
    guard progress != nil else { return [] }
    let devices = catalog.disks.compactMap(\.device).map { SafeText.printable($0) }
    guard !devices.isEmpty else { return [] }
    return [
      "nobody can tell whether the VM was started on \(devices.joined(separator: ", ")) since the failover: "
        + "going to another point destroys what it wrote"
    ]
  }

  /// As an error, with the age of what would be started.
  func refusal(
    _ name: String, _ doubts: [String], of point: RecoveryPoint
  ) -> FailoverError? {
    guard !doubts.isEmpty else { return nil }
    let age = FailoverPlan.duration(time.wallTime().seconds(since: point.frozenAt))
    return .doubtful(
      name,
      "recovery point \(point.reference), \(age) old, may not be what is on the disks: "
        + doubts.joined(separator: "; "))
  }
}

/// A committed point that cannot be brought into the disks.
extension Failover {
  /// The newest point that a failover can take: into disks that somebody else wrote no point is settled.
  func newest(of target: StandbySearch.Found) -> RecoveryPoint? {
    leavesPending(target) ? target.catalog.newest : target.summary.newestPoint
  }

  func leavesPending(_ target: StandbySearch.Found) -> Bool {
    target.summary.pending != nil && target.catalog.divergence != nil && target.catalog.newest != nil
  }

  /// What the plan says of it.
  func doubts(ofPendingIn target: StandbySearch.Found) -> [String] {
    guard leavesPending(target), let pending = target.summary.pending else { return [] }
    return [
      "recovery point \(pending.reference), frozen at \(pending.frozenAt), is committed and cannot be "
        + "brought into the disks: it is left out"
    ]
  }

  /// Throws unless the failure of the recovery is no reason against `point`: by force, where the plan showed
  /// just this point, and while the disks are as it left them.
  func checkUnsettled(
    _ standby: Standby, _ choice: Choice, shown: PointReference?, _ point: PointReference
  ) throws(FailoverError) {
    guard case .failure(let error) = standby.recovery else { return }
    let hasBegun: Bool
    do throws(StandbyError) { hasBegun = try standby.hasBegunSettling() } catch { throw .standby(error) }
    guard !hasBegun, let held = standby.disksPoint else { throw .standby(error) }
    guard choice.forces, shown == point else {
      throw .unsettled(SafeText.printable(standby.catalog.displayName), error, held: held)
    }
  }

  /// What became of it, for people.
  func journalsLeft(_ standby: Standby) throws(StandbyError) -> String? {
    guard case .failure = standby.recovery else { return nil }
    let paths = try standby.journalPaths()
    guard !paths.isEmpty else { return nil }
    return "left out, and kept as it is: \(paths.joined(separator: ", "))"
  }
}

extension FailoverPlan {
  /// The words for what is lost, as an operator types them to force a failover.
  public var lossText: String { Self.duration(lossSeconds) }

  /// Whether `text` names the loss of this plan: as it is now, or as it was shown within the last two
  /// minutes.
  public func isLoss(_ text: String) -> Bool {
    let typed = text.split(separator: " ").joined(separator: " ")
    return (0...120).contains { typed == Self.duration(max(0, lossSeconds - Double($0))) }
  }
}
