import ReplIO
import ReplModel

/// One recovery point of a standby, as `points` lists it.
public struct PointReport: Sendable {
  public let point: RecoveryPoint
  /// The disks hold this one.
  public let isHeld: Bool
  public let isNewest: Bool
  /// Bytes of the undo file that leads back to it; 0 for the newest.
  public let undoBytes: Int64
  /// The operator's words when it was pinned; nil when it is not.
  public let pin: String?
  public let verifiedAt: WallTime?
  /// Why it cannot be started or read as it was; nil when it can.
  public let problem: String?

  /// Bytes of all disks.
  public var sizeBytes: Int64 { point.disks.reduce(0) { $0 + $1.grid.sizeBytes } }
}

extension StandbyStore {
  /// The points of a standby, newest first, without its lock. Nothing without a catalog.
  public func points(of summary: StandbySummary) throws(StandbyError) -> [PointReport] {
    guard let catalog = summary.catalog else { return [] }
    let home = try storing { () throws(IOError) in try StandbyHome.open(summary.directory, in: root) }
    let pins = try PointHolds(points: home.points).pins()
    let steps = Set(try UndoFile.references(in: home.points))
    var reports: [PointReport] = []
    for (index, kept) in catalog.kept.enumerated() {
      let (reference, isNewest) = (kept.reference, index == catalog.kept.count - 1)
      let problem: String? =
        if kept.isDamaged {
          kept.damage.map(\.detail).joined(separator: "; ")
        } else if !isNewest && !catalog.hasWay(to: reference, steps: steps) {
          "its undo file, or one on the way to it, is gone"
        } else { nil }
      reports.append(
        PointReport(
          point: kept.point, isHeld: catalog.heldPoint?.reference == reference, isNewest: isNewest,
          undoBytes: steps.contains(reference) ? try Self.undoBytes(reference, in: home.points) : 0,
          pin: pins[reference]?.reason, verifiedAt: kept.verifiedAt, problem: problem))
    }
    return reports.reversed()
  }

  private static func undoBytes(
    _ reference: PointReference, in points: any StorageDirectory
  ) throws(StandbyError) -> Int64 {
    // Merged into another one since it was listed: then it takes nothing.
    try UndoFile.open(backTo: reference, in: points).map { (undo) throws(StandbyError) in
      try storing { () throws(IOError) in try undo.reader.file.currentSizeBytes() }
    } ?? 0
  }

  /// Keeps a point from being dropped until `unpin`. Works while a pass runs.
  public func pin(
    _ reference: PointReference, reason: String, of summary: StandbySummary
  ) throws(StandbyError) {
    guard reason.utf8.count <= PointHolds.reasonBytes else {
      throw .pointRefused(detail: "a reason of \(reason.utf8.count) bytes, at most \(PointHolds.reasonBytes)")
    }
    try changing(reference, of: summary) { (holds) throws(StandbyError) in
      try holds.pin(reference, PointHolds.Pin(at: time.wallTime(), reason: reason))
    }
  }

  /// Gives a pinned point back to retention.
  public func unpin(_ reference: PointReference, of summary: StandbySummary) throws(StandbyError) {
    try changing(reference, of: summary) { (holds) throws(StandbyError) in try holds.unpin(reference) }
  }

  /// Keeps a point from being dropped while the answer lives; several readers have it one after the other.
  func hold(
    _ reference: PointReference, of summary: StandbySummary, in home: StandbyHome
  ) throws(StandbyError) -> FileLock {
    // The system's clock, not the store's: what is waited for is another process.
    let deadline = Deadline(seconds: PointHolds.lockWaitSeconds)
    while true {
      let hold = try changing(reference, of: summary) { (holds) throws(StandbyError) in
        try holds.hold(reference)
      }
      if let hold { return hold }
      try PointHolds(points: home.points).waitForReader(of: reference, until: deadline)
    }
  }

  /// Runs `body` while no point can be dropped, when this one is kept.
  func changing<Value>(
    _ reference: PointReference, of summary: StandbySummary,
    _ body: (PointHolds) throws(StandbyError) -> Value
  ) throws(StandbyError) -> Value {
    let home = try storing { () throws(IOError) in try StandbyHome.open(summary.directory, in: root) }
    let holds = PointHolds(points: home.points)
    let lock = try holds.lock()
    defer { withExtendedLifetime(lock) {} }
    guard let current = try Catalog.load(from: home.privateDirectory), current.kept(reference) != nil else {
      throw .pointRefused(
        detail: "recovery point \(reference) is not kept (any more): see the list of points")
    }
    return try body(holds)
  }
}

extension Catalog {
  /// Whether the undo files of all kept points from `reference` up are there.
  fileprivate func hasWay(to reference: PointReference, steps: Set<PointReference>) -> Bool {
    kept.dropLast().allSatisfy { $0.reference < reference || steps.contains($0.reference) }
  }
}
