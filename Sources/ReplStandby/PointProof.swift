import ReplDigest
import ReplIO
import ReplModel

/// What is known of an older recovery point after it was verified.
public struct PointVerdict: Sendable {
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
    guard let first = try pace.open(vm, in: self, recovering: true, goesOn: { true }) else { return nil }
    guard first.catalog.kept(reference) != nil else {
      let known = first.catalog.points.map { "\($0.reference)" }.joined(separator: ", ")
      throw .badOffer(detail: "recovery point \(reference) is not kept: there are \(known)")
    }
    _ = consume first
    guard let outcome = try verify(vm: vm, request, progress: progress),
      let standby = try pace.open(vm, in: self, recovering: true, goesOn: { true })
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
      for member in kept.point.disks { try PointProof(standby: standby, kept: kept, member: member).run() }
    } catch {
      switch error {
      case .journalDamaged: return verdict(.damaged, "\(error)")
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

/// Derives the map of one disk at an older point: that of the newest one, and over it the digests of the
/// pages that the undo files hold. Its root must be the one that the point had.
struct PointProof {
  let standby: Standby
  let kept: KeptPoint
  let member: DiskPoint

  /// Throws `.journalDamaged` when it is not that point, `.notRepaired` when it cannot be told.
  func run() throws(StandbyError) {
    guard let newest = standby.catalog.newest, let now = newest.disk(member.disk) else {
      throw .notRepaired(detail: "disk \(member.disk) is detached: there is no map to begin with")
    }
    guard now.mapFormat == member.mapFormat else {
      throw .notRepaired(
        detail: "disk \(member.disk) has grown or got another digest key since then: its old root cannot be "
          + "derived from the map that is here")
    }
    guard let key = try standby.store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    let map = try standby.map(of: now, at: newest)
    try digesting { () throws(DigestError) in try map.verify() }
    let name = StandbyLayout.pointDelta(of: member.disk)
    let delta = try digesting { () throws(DigestError) in
      try DigestDelta.create(name, in: standby.maps, over: map)
    }
    // A scratch file in the state directory: one that stays is replaced by the next.
    defer { try? delta.discard() }
    let digester = try digesting { () throws(DigestError) in try PageDigester(key: key) }
    guard let first = standby.catalog.kept.firstIndex(where: { $0.reference == kept.reference }) else {
      return
    }
    // Newest first: what an older file says of a page counts.
    for index in (first..<(standby.catalog.kept.count - 1)).reversed() {
      try lay(standby.catalog.kept[index].reference, over: delta, digester)
    }
    let root = try digesting { () throws(DigestError) in try delta.root() }
    guard root == member.root else {
      throw .journalDamaged(
        path: standby.home.points.path,
        detail: "the undo files lead to root \(root) of disk \(member.disk), point \(kept.reference) had "
          + "\(member.root)")
    }
  }

  /// The digests of everything that one undo file holds of the disk.
  private func lay(
    _ reference: PointReference, over delta: DigestDelta, _ digester: PageDigester
  ) throws(StandbyError) {
    let name = StandbyLayout.undo(backTo: reference)
    let points = standby.home.points
    guard try storing({ () throws(IOError) in try points.contains(name) }) else {
      throw .journalDamaged(path: "\(points.path)/\(name)", detail: "it is gone")
    }
    let file = try storing { () throws(IOError) in try points.openFile(name, .read) }
    guard let reader = try RecordReader.open(file), reader.header.kind == .undo else {
      throw .journalDamaged(path: file.path, detail: "it is not an undo file")
    }
    let (disks, opener) = (reader.header.description.disks, BatchOpener())
    var isSealed = false
    while let record = try reader.next() {
      isSealed = record.type == .seal
      guard record.type == .batch else { continue }
      try standby.checkFailoverRequest()
      guard let batch = BatchRecord(record, disks: disks),
        // Bytes that do not inflate are not what was written.
        let data = try? opener.inflate(batch.codec, batch.payload, rawLength: batch.rawLength)
      else {
        throw .journalDamaged(
          path: file.path, detail: "the record at byte \(record.offsetBytes) makes no sense")
      }
      guard disks[batch.diskIndex].disk == member.disk else { continue }
      try digesting { () throws(DigestError) in
        let digests = try opener.digests(
          of: data, runs: batch.runs, grid: disks[batch.diskIndex].grid, digester)
        var count = 0
        for run in batch.runs {
          try Self.set(run, in: delta, digests, &count)
        }
      }
    }
    guard isSealed else {
      throw .journalDamaged(path: file.path, detail: "it ends at byte \(reader.endBytes) without its seal")
    }
  }

  private static func set(
    _ run: PageRun, in delta: DigestDelta, _ digests: UnsafeBufferPointer<PageDigest>, _ count: inout Int
  ) throws(DigestError) {
    let zeros = [PageDigest](repeating: .zero, count: PageGrid.pagesPerLeaf)
    if run.kind == .data {
      let part = UnsafeBufferPointer(rebasing: digests[count..<(count + Int(run.pageCount))])
      count += part.count
      return try delta.setPages(first: run.firstPage, part)
    }
    var page = run.firstPage
    while page < run.pages.upperBound {
      let length = Int(min(run.pages.upperBound - page, Int64(zeros.count)))
      var failure: DigestError?
      zeros.withUnsafeBufferPointer { buffer in
        do throws(DigestError) {
          try delta.setPages(first: page, UnsafeBufferPointer(rebasing: buffer[0..<length]))
        } catch { failure = error }
      }
      if let failure { throw failure }
      page += Int64(length)
    }
  }
}
