import ReplDigest
import ReplIO
import ReplModel

/// What is to be read again of a standby, and how.
public struct VerifyRequest: Sendable {
  public var choice: VerifyChoice
  /// Only this disk; nil means all of the newest point.
  public var disk: DiskID?
  /// Marks what differs as wanted: the next pass brings it.
  public var repairs = false
  /// Pages that are listed one by one, a disk.
  public var listLimit = 1000
  /// How long the standby is held at a time: a pass waits so long at the most.
  public var sliceSeconds: Double = 2
  /// How long it is left to others in between: a pass that waits for it asks every 20 ms.
  public var pauseSeconds: Double = 0.1
  /// Whether a pass that has the standby is waited for; else `.lockHeld` is thrown.
  public var waits = true
  /// Nil: as fast as the storage reads.
  public var bytesPerSecond: Int64?

  public init(_ choice: VerifyChoice) { self.choice = choice }
}

/// How far it is.
public struct VerifyProgress: Sendable {
  public let disk: DiskID
  public let slot: DiskSlot
  public let doneBytes: Int64
  public let totalBytes: Int64
}

/// What reading a standby again has found, and what was noted because of it.
public struct VerifyOutcome: Sendable {
  /// The newest point at the end.
  public let point: PointReference
  /// In the order of the point's disks.
  public let reports: [VerifyReport]
  /// Everything of every disk was read while this point was the newest.
  public let isWholePoint: Bool
  public let suspicion: Suspicion?
  public let divergence: Catalog.Divergence?
  /// Pages that the next pass looks at because of this, and which it brings.
  public let wantedPages: Int64

  /// Of all disks together: a difference outdoes what could not be read.
  public var verdict: VerifyReport.Verdict {
    let verdicts = reports.map(\.verdict)
    if verdicts.contains(.differing) { return .differing }
    return verdicts.contains(.inconclusive) ? .inconclusive : .identical
  }
}

extension StandbyStore {
  /// Reads the standby of `vm` again and compares it with the map of its newest point; a slice at a time, so
  /// that passes go on meanwhile. Notes durably what was found: a suspicion, a divergence, a point that was
  /// verified, wanted pages. Nil when the store has no such standby.
  ///
  /// `progress` is asked now and then, and answers false to end it: then `.passEnded` is thrown.
  public func verify(
    vm: VMID, _ request: VerifyRequest, progress: (VerifyProgress) -> Bool = { _ in true }
  ) throws(StandbyError) -> VerifyOutcome? {
    let pace = VerifyPace(request: request)
    guard let first = try pace.open(vm, in: self, goesOn: { true }) else { return nil }
    let disks = try first.verifiableDisks(request)
    // The lock is given back before the first slice takes it.
    var reports: [VerifyReport] = []
    var marks: [DiskID: FileGeneration] = [:]
    for disk in disks { marks[disk] = try first.generation(of: disk) }
    _ = consume first
    for disk in disks {
      let verifier = DiskVerifier(disk, request.choice, listLimit: request.listLimit)
      var isAtEnd = false
      while !isAtEnd {
        isAtEnd = try pace.slice(vm, in: self, verifier, progress)
      }
      reports.append(verifier.report)
    }
    guard let last = try pace.open(vm, in: self, goesOn: { true }) else { return nil }
    return try VerifyConclusion(standby: last, request: request, marks: marks).draw(from: reports)
  }
}

extension Standby {
  /// The disks that are to be read; throws when there is nothing that could be compared.
  fileprivate func verifiableDisks(_ request: VerifyRequest) throws(StandbyError) -> [DiskID] {
    try checkVerifiable()
    let disks = catalog.newest?.disks.map(\.disk) ?? []
    guard let wanted = request.disk else { return disks }
    guard disks.contains(wanted) else {
      throw .badOffer(detail: "disk \(wanted) is not in the newest recovery point")
    }
    return [wanted]
  }

  /// Throws unless the disks should hold the newest point.
  func checkVerifiable() throws(StandbyError) {
    if let fence = catalog.fence {
      throw .fenced(vm: catalog.vm, epoch: fence.epoch, at: fence.at, reason: fence.reason)
    }
    guard catalog.newest != nil else {
      throw .badOffer(detail: "\(catalog.vm) has no recovery point yet: there is nothing to compare with")
    }
    // A point that waits for a standby that somebody else wrote is brought in later; the disks hold the one
    // before.
    if case .failure(let error) = recovery {
      guard case .diverged = error else { throw error }
    }
  }

  func generation(of disk: DiskID) throws(StandbyError) -> FileGeneration? {
    guard let entry = catalog.disk(disk) else { return nil }
    let file = try openDiskFile(entry, .read)
    return try storing { () throws(IOError) in try file.generation() }
  }
}

/// Takes the standby for a slice, gives it back, and waits before the next one.
struct VerifyPace {
  private static let lockSeconds: Double = 1
  /// A first copy of a large disk may hold it for days: then it is tried again another time.
  private static let patienceSeconds: Double = 3600
  private static let leavesBetweenLooks: Int64 = 16

  let request: VerifyRequest

  /// Waits as long as a pass or a settling has it; nil when the store has no such standby.
  func open(
    _ vm: VMID, in store: StandbyStore, goesOn: () -> Bool
  ) throws(StandbyError) -> Standby? {
    // The system's clock, not the store's: what is waited for is another process.
    let deadline = Deadline(seconds: Self.patienceSeconds)
    while true {
      do throws(StandbyError) {
        return try store.openForReading(vm: vm, waitSeconds: Self.lockSeconds)
      } catch {
        guard case .lockHeld = error, request.waits, !deadline.hasPassed, goesOn() else { throw error }
      }
    }
  }

  /// One slice; true at the end of the disk.
  func slice(
    _ vm: VMID, in store: StandbyStore, _ verifier: DiskVerifier, _ progress: (VerifyProgress) -> Bool
  ) throws(StandbyError) -> Bool {
    var last: VerifyProgress?
    func goesOn() -> Bool { last.map(progress) ?? true }
    guard let standby = try open(vm, in: store, goesOn: goesOn) else {
      throw .passEnded(detail: "the standby is gone")
    }
    try standby.checkVerifiable()
    guard let point = standby.catalog.newest, let member = point.disk(verifier.report.disk) else {
      throw .passEnded(detail: "disk \(verifier.report.disk) is no longer in the newest recovery point")
    }
    let began = store.time.monotonicNanoseconds()
    var (bytes, leaves): (Int64, Int64) = (0, 0)
    let budget = request.bytesPerSecond.map { max(1, Int64(Double($0) * request.sliceSeconds)) }
    let isAtEnd = try verifier.runProving(on: standby, point, member) { (read) throws(StandbyError) in
      (bytes, leaves) = (bytes + read, leaves + 1)
      if leaves % Self.leavesBetweenLooks == 1 { try standby.checkFailoverRequest() }
      if let budget, bytes >= budget { return false }
      return Double(store.time.monotonicNanoseconds() - began) < request.sliceSeconds * 1e9
    }
    let done = min(verifier.report.pagesChecked, member.grid.pageCount) * Int64(member.grid.pageSizeBytes)
    let now = VerifyProgress(
      disk: member.disk, slot: member.slot, doneBytes: min(done, member.grid.sizeBytes),
      totalBytes: member.grid.sizeBytes)
    last = now
    guard progress(now) else { throw .passEnded(detail: "the verification was stopped") }
    _ = consume standby
    if !isAtEnd || request.bytesPerSecond != nil { pause(bytes, since: began, store.time) }
    return isAtEnd
  }

  /// Long enough for whoever waits for the standby, and for the rate.
  private func pause(_ bytes: Int64, since began: Int64, _ time: any TimeSource) {
    var seconds = request.pauseSeconds
    if let rate = request.bytesPerSecond {
      let elapsed = Double(time.monotonicNanoseconds() - began) / 1e9
      seconds = max(seconds, Double(bytes) / Double(rate) - elapsed)
    }
    guard seconds > 0 else { return }
    let nobody = Monitor(false)
    _ = nobody.wait(seconds: seconds) { $0 ? true : nil }
  }
}

extension DiskVerifier {
  /// As `run`; a map that is lost is made anew from the disk, and its root compared at the end of the disk,
  /// whatever part was chosen: half a map says nothing.
  func runProving(
    on standby: Standby, _ point: RecoveryPoint, _ member: DiskPoint,
    goesOn: (_ readBytes: Int64) throws(StandbyError) -> Bool
  ) throws(StandbyError) -> Bool {
    do throws(StandbyError) {
      if let map = standby.trustedMap(of: member, at: point) {
        endProof()
        return try run(on: standby, point.reference, member, map, goesOn: goesOn)
      }
      return try goOnProving(on: standby, point, member, goesOn: goesOn)
    } catch {
      switch error {
      case .storage(let cause):
        noteObstacle("\(cause)")
      case .keyMissing: noteObstacle("\(error)")
      default: throw error
      }
    }
    return true
  }

  private func goOnProving(
    on standby: Standby, _ point: RecoveryPoint, _ member: DiskPoint,
    goesOn: (_ readBytes: Int64) throws(StandbyError) -> Bool
  ) throws(StandbyError) -> Bool {
    let proof = try proof(of: member, at: point, on: standby)
    let isAtEnd = try proof.goOn(on: standby, goesOn: goesOn)
    report.pagesChecked = proof.donePages
    guard isAtEnd else { return false }
    noteProof(point.reference, member.grid, isRight: try proof.conclude())
    return true
  }

  /// Makes the map anew by reading all of the disk.
  func prove(on standby: Standby, _ point: RecoveryPoint, _ member: DiskPoint) throws(StandbyError) {
    guard let entry = standby.catalog.disk(member.disk) else { return }
    let file = try standby.openDiskFile(entry, .read, of: [member.grid])
    try storing { () throws(IOError) in
      try file.sync()
      try file.forgetCached(ByteRange(offset: 0, length: member.grid.sizeBytes))
    }
    do throws(StandbyError) {
      _ = try standby.rebuildMap(of: member, at: point)
      noteProof(point.reference, member.grid, isRight: true)
    } catch {
      guard case .diverged = error else { throw error }
      noteProof(point.reference, member.grid, isRight: false)
    }
  }
}
