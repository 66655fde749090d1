import ReplDigest
import ReplIO
import ReplModel

/// Which parts of a disk are read again.
public enum VerifyChoice: Sendable, Hashable {
  case everything
  /// About this share (above 0, below 1) of the leaves, chosen by a seed.
  case sample(share: Double, seed: UInt64)
  /// Leaves from the first on.
  case leaves(Range<Int64>)
  /// The leaves that hold these pages, in ascending order.
  case pages([PageRange])

  /// Whether a leaf that `first` has named is read.
  func contains(_ leaf: Int64) -> Bool {
    guard case .sample(let share, let seed) = self else { return true }
    let mixed = Self.mixed(UInt64(bitPattern: leaf) &+ seed &* 0x9E37_79B9_7F4A_7C15)
    return Double(mixed >> 11) < share * Double(1 << 53)
  }

  /// The first leaf at or after `leaf` that there is reason to look at; nil when there is none.
  func first(atOrAfter leaf: Int64) -> Int64? {
    switch self {
    case .everything, .sample: return leaf
    case .leaves(let range): return leaf < range.upperBound ? max(leaf, range.lowerBound) : nil
    case .pages(let ranges):
      let perLeaf = Int64(PageGrid.pagesPerLeaf)
      return ranges.first { $0.pages.upperBound > leaf * perLeaf }.map { max(leaf, $0.first / perLeaf) }
    }
  }

  /// SplitMix64's last steps: neighbours get values that have nothing to do with each other.
  private static func mixed(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// Reads a disk again and compares it with the map of the newest point, from leaf to leaf: as long as its
/// caller holds the standby, then on from there when the standby is held again, whatever point is the newest
/// by then.
final class DiskVerifier {
  /// As much of the disk is dropped from memory at a time.
  private static let windowBytes: Int64 = 64 << 20

  var report: VerifyReport
  /// Under way while the map of the newest point is lost.
  private var proof: MapProof?
  private let choice: VerifyChoice
  private let listLimit: Int
  private var leaf: Int64 = 0
  private let expected = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)
  /// Up to here the next reads come from the storage.
  private var forgottenEnd: Int64 = 0

  init(_ disk: DiskID, _ choice: VerifyChoice, listLimit: Int) {
    report = VerifyReport(disk: disk)
    self.choice = choice
    self.listLimit = listLimit
  }

  /// Goes on with the newest point.
  func run(
    on standby: Standby, goesOn: (_ readBytes: Int64) throws(StandbyError) -> Bool
  ) throws(StandbyError) -> Bool {
    guard let point = standby.catalog.newest, let member = point.disk(report.disk) else {
      throw .badOffer(detail: "disk \(report.disk) is in no recovery point")
    }
    let map = try standby.map(of: member, at: point)
    return try run(on: standby, point.reference, member, map, goesOn: goesOn)
  }

  /// Goes on until `goesOn`, asked before every leaf with the bytes read since the last time, says no; true
  /// at the end of the disk.
  func run(
    on standby: Standby, _ reference: PointReference, _ member: DiskPoint, _ map: DigestMap,
    goesOn: (_ readBytes: Int64) throws(StandbyError) -> Bool
  ) throws(StandbyError) -> Bool {
    guard let entry = standby.catalog.disk(report.disk) else {
      preconditionFailure("a point holds a disk that the catalog does not know")
    }
    guard let key = try standby.store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    let (file, grid) = (try standby.openDiskFile(entry, .read, of: [member.grid]), member.grid)
    let builder = try MapBuilder(disk: file, format: member.mapFormat, key: key)
    report.begin(reference, grid)
    forgottenEnd = 0
    // What somebody wrote and nobody synced would stay in memory.
    try storing { () throws(IOError) in try file.sync() }
    var read: Int64 = 0
    while leaf < grid.leafCount {
      let next = try nextLeaf(file, map, grid)
      report.skip(leaf..<next)
      leaf = next
      guard next < grid.leafCount else { break }
      if choice.contains(leaf) {
        guard try goesOn(read) else { return false }
        try forget(file, grid)
        try verify(builder, map)
        read = grid.bytes(of: grid.pages(ofLeaf: leaf)).length
      }
      report.candidatePages += Int64(grid.pages(ofLeaf: leaf).count)
      leaf += 1
    }
    _ = try goesOn(read)
    return true
  }

  /// The first leaf at or after this one that is to be looked at and of which disk or map say that it may
  /// hold something.
  private func nextLeaf(
    _ file: any StorageFile, _ map: DigestMap, _ grid: PageGrid
  ) throws(StandbyError) -> Int64 {
    let leafBytes = Int64(grid.leafSizeBytes)
    var leaf = leaf
    while let chosen = choice.first(atOrAfter: leaf), chosen < grid.leafCount {
      let range = try storing { () throws(IOError) in
        try file.allocatedRange(atOrAfter: chosen * leafBytes)
      }
      let inMap = try digesting { () throws(DigestError) in try map.leafWithContent(atOrAfter: chosen) }
      guard let held = [range.map({ $0.offset / leafBytes }), inMap].compactMap({ $0 }).min() else { break }
      leaf = max(chosen, held)
      if leaf == chosen || choice.first(atOrAfter: leaf) == leaf { return min(leaf, grid.leafCount) }
    }
    return grid.leafCount
  }

  /// Before the first read of each window.
  private func forget(_ file: any StorageFile, _ grid: PageGrid) throws(StandbyError) {
    let start = leaf * Int64(grid.leafSizeBytes)
    guard start >= forgottenEnd else { return }
    let length = max(Self.windowBytes, Int64(grid.leafSizeBytes))
    try storing { () throws(IOError) in try file.forgetCached(ByteRange(offset: start, length: length)) }
    forgottenEnd = start + length
  }

  private func verify(_ builder: MapBuilder, _ map: DigestMap) throws(StandbyError) {
    let pages = builder.format.grid.pages(ofLeaf: leaf)
    let expected = expected.bytes.bindMemory(to: PageDigest.self)
    try digesting { () throws(DigestError) in try map.readLeaf(leaf, into: expected) }
    let found: UnsafeMutableBufferPointer<PageDigest>
    do throws(StandbyError) {
      found = try builder.digests(ofLeaf: leaf)
    } catch {
      guard case .storage(let cause) = error else { throw error }
      return report.noteUnreadable(builder.format.grid.bytes(of: pages), cause, listLimit: listLimit)
    }
    report.pagesChecked += Int64(pages.count)
    report.pagesRead += Int64(pages.count)
    for (offset, page) in pages.enumerated() where found[offset] != expected[offset] {
      report.noteDiffering(page, listLimit: listLimit)
    }
  }

  /// Nothing, or not all, could be compared.
  func noteObstacle(_ why: String) { report.obstacle = report.obstacle ?? why }

  /// The one that is under way, or a new one when the newest point is another by now.
  func proof(
    of member: DiskPoint, at point: RecoveryPoint, on standby: Standby
  ) throws(StandbyError) -> MapProof {
    if let proof, proof.point.reference == point.reference, proof.member == member { return proof }
    endProof()
    let fresh = try MapProof(of: member, at: point, in: standby.maps)
    proof = fresh
    return fresh
  }

  /// There is a map again: what the proof has counted was not compared with it.
  func endProof() {
    guard proof != nil else { return }
    proof = nil
    report.pagesChecked = 0
  }

  /// All of the disk was read, and its root compared with the point's.
  func noteProof(_ reference: PointReference, _ grid: PageGrid, isRight: Bool) {
    report.begin(reference, grid)
    (report.isProvenByRoot, report.isMapLost) = (isRight, !isRight)
    report.pagesChecked = grid.pageCount
    (report.pagesRead, report.candidatePages) = (grid.pageCount, grid.pageCount)
  }
}
