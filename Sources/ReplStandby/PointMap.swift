import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// The digest map of a disk at an older point: the newest point's map, and over it the digests of the pages
/// in the undo files. Every undo record is verified on the way; the root tells whether the point can be had.
struct PointMap {
  let standby: Standby
  let kept: KeptPoint
  let member: DiskPoint
  private let leafMemory = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)

  init(standby: Standby, kept: KeptPoint, member: DiskPoint) {
    self.standby = standby
    self.kept = kept
    self.member = member
  }

  /// Throws `.pointLost` when an undo file is damaged, and when what they lead to has not the point's root.
  /// The map lies under a name of its own until `remove`.
  func make() throws(StandbyError) -> DigestMap {
    guard let key = try standby.store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    let chain = try UndoChain.open(
      to: kept.reference, isNewest: standby.catalog.newest?.reference == kept.reference,
      in: standby.home.points)
    let map = try digesting { () throws(DigestError) in
      try DigestMap.create(name, in: standby.maps, format: member.mapFormat)
    }
    try copyNewest(into: map)
    let digester = try digesting { () throws(DigestError) in try PageDigester(key: key) }
    for undo in chain.files { try overlay(undo, on: map, digester) }
    let root = try digesting { () throws(DigestError) in
      try map.finish(at: kept.reference, pass: kept.point.pass)
    }
    guard root == member.root else {
      throw .pointLost(
        kept.reference, detail: "disk \(member.slot): its undo files lead to root \(root), not \(member.root)"
      )
    }
    return map
  }

  /// Removes the map; it was of use only for this look.
  func remove() {
    // A cache: one that stays is made anew by the next look.
    try? standby.maps.removeFile(name)
  }

  private var name: String { "\(member.disk).point" }

  /// A disk that the newest point does not have is read instead: nothing has written it since it was
  /// detached.
  private func copyNewest(into map: DigestMap) throws(StandbyError) {
    let leafDigests = leafMemory.bytes.bindMemory(to: PageDigest.self)
    guard let newest = standby.catalog.newest, let current = newest.disk(member.disk) else {
      return try readDisk(into: map)
    }
    let source = try standby.map(of: current, at: newest)
    var leaf: Int64 = 0
    var count: Int64 = 0
    while let next = try digesting({ () throws(DigestError) in try source.leafWithContent(atOrAfter: leaf) }),
      next < member.grid.leafCount
    {
      count += 1
      try standby.checkFailoverRequest(every: 1024, of: count)
      try digesting { () throws(DigestError) in
        try source.readLeaf(next, into: leafDigests)
        clip(leafDigests, leaf: next)
        try map.writeLeaf(next, UnsafeBufferPointer(leafDigests))
      }
      leaf = next + 1
    }
  }

  /// Pages behind the end that the disk had then are none of its map.
  private func clip(_ digests: UnsafeMutableBufferPointer<PageDigest>, leaf: Int64) {
    let pages = member.grid.pages(ofLeaf: leaf)
    for index in pages.count..<max(pages.count, digests.count) { digests[index] = .zero }
  }

  private func readDisk(into map: DigestMap) throws(StandbyError) {
    guard let entry = standby.catalog.disk(member.disk), let key = try standby.store.key(member.keyID) else {
      throw .keyMissing(key: member.keyID)
    }
    let file = try standby.openDiskFile(entry, .read)
    _ = try MapBuilder(disk: file, format: member.mapFormat, key: key).fill(map, from: 0) {
      (leaf) throws(StandbyError) in
      try standby.checkFailoverRequest(every: 16, of: leaf)
      return true
    }
  }

  private func overlay(
    _ undo: UndoFile, on map: DigestMap, _ digester: PageDigester
  ) throws(StandbyError) {
    let opener = BatchOpener()
    var count: Int64 = 0
    try undo.forEach { (batch, _) throws(StandbyError) in
      count += 1
      try standby.checkFailoverRequest(every: 16, of: count)
      let entry = undo.disks[batch.diskIndex]
      guard entry.disk == member.disk else { return }
      let data = try opener.inflate(batch, of: undo)
      let digests = try digesting { () throws(DigestError) in
        try opener.digests(of: data, runs: batch.runs, grid: entry.grid, digester)
      }
      var position = 0
      for run in batch.runs {
        let pages = run.pages.clamped(to: 0..<member.grid.pageCount)
        try write(pages, run.kind == .data ? digests[position...] : digests[digests.endIndex...], into: map)
        if run.kind == .data { position += Int(run.pageCount) }
      }
    }
  }

  /// `digests` begin with that of the first page; empty for zero pages.
  private func write(
    _ pages: Range<Int64>, _ digests: Slice<UnsafeBufferPointer<PageDigest>>, into map: DigestMap
  ) throws(StandbyError) {
    let leafDigests = leafMemory.bytes.bindMemory(to: PageDigest.self)
    let perLeaf = Int64(PageGrid.pagesPerLeaf)
    var page = pages.lowerBound
    while page < pages.upperBound {
      let leaf = page / perLeaf
      let end = min(pages.upperBound, (leaf + 1) * perLeaf)
      try digesting { () throws(DigestError) in
        try map.readLeaf(leaf, into: leafDigests)
        for index in page..<end {
          let digest =
            digests.isEmpty ? .zero : digests[digests.startIndex + Int(index - pages.lowerBound)]
          leafDigests[Int(index - leaf * perLeaf)] = digest
        }
        try map.writeLeaf(leaf, UnsafeBufferPointer(leafDigests))
      }
      page = end
    }
  }
}
