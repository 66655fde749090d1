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
