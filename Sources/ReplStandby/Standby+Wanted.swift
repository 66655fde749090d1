import ReplDigest
import ReplIO
import ReplModel

extension Standby {
  /// Shows wanted pages in the tentative map as they really are on the disk: the source then finds that they
  /// differ, and sends them.
  func show(
    _ wanted: WantedList.Disk, of member: DiskPoint, in overlay: MapOverlay
  ) throws(StandbyError) {
    guard let key = try store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    guard let entry = catalog.disk(member.disk) else { return }
    let file = try openDiskFile(entry, .read, of: [member.grid])
    let builder = try MapBuilder(disk: file, format: member.mapFormat, key: key)
    let memory = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)
    let shown = memory.bytes.bindMemory(to: PageDigest.self)
    let perLeaf = Int64(PageGrid.pagesPerLeaf)
    var next: Int64 = 0
    for range in wanted.pages.ranges {
      let end = min(range.pages.upperBound, member.grid.pageCount)
      guard range.first < end else { continue }
      next = max(next, range.first / perLeaf)
      while next <= (end - 1) / perLeaf {
        let leaf = next
        next += 1
        try checkFailoverRequest(every: 16, of: leaf)
        let bytes = member.grid.bytes(of: member.grid.pages(ofLeaf: leaf))
        try storing { () throws(IOError) in try file.forgetCached(bytes) }
        let found = try builder.digests(ofLeaf: leaf)
        try digesting { () throws(DigestError) in try overlay.delta.readLeaf(leaf, into: shown) }
        guard Self.lay(found, over: shown, leaf, wanted.pages) else { continue }
        try digesting { () throws(DigestError) in
          try overlay.delta.writeLeaf(leaf, UnsafeBufferPointer(shown))
        }
      }
    }
  }

  /// The wanted pages of a leaf as they were found; false when they were shown so already.
  private static func lay(
    _ found: UnsafeMutableBufferPointer<PageDigest>, over shown: UnsafeMutableBufferPointer<PageDigest>,
    _ leaf: Int64, _ wanted: PageRangeList
  ) -> Bool {
    let first = leaf * Int64(PageGrid.pagesPerLeaf)
    var isOther = false
    for offset in shown.indices where shown[offset] != found[offset] {
      guard wanted.contains(first + Int64(offset)) else { continue }
      shown[offset] = found[offset]
      isOther = true
    }
    return isOther
  }

  func checkFailoverRequest(every count: Int64, of leaf: Int64) throws(StandbyError) {
    // A look costs a few system calls: not at every leaf that is read.
    if leaf % count == 0 { try checkFailoverRequest() }
  }

  /// A map of what is on the disk, whatever point that is: under a number that no point has.
  func mapOfContent(_ member: DiskPoint, on grid: PageGrid) throws(StandbyError) -> DigestMap {
    guard let key = try store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    guard let entry = catalog.disk(member.disk) else {
      preconditionFailure("a point holds a disk that the catalog does not know")
    }
    let file = try openDiskFile(entry, .read, of: [member.grid])
    try dropWideMap(of: member.disk)
    let map = try digesting { () throws(DigestError) in
      try DigestMap.create(StandbyLayout.map(of: member.disk), in: maps, format: member.mapFormat)
    }
    _ = try MapBuilder(disk: file, format: member.mapFormat, key: key).fill(map, from: 0) {
      (leaf) throws(StandbyError) in
      try checkFailoverRequest(every: 16, of: leaf)
      return true
    }
    let reference = PointReference(epoch: catalog.epoch, number: 0)
    _ = try digesting { () throws(DigestError) in
      try map.finish(at: reference, pass: PassID(high: 0, low: 0))
    }
    if grid == member.grid { return map }
    let name = StandbyLayout.wideMap(of: member.disk)
    return try digesting { () throws(DigestError) in try map.widened(to: grid, as: name, in: maps) }
  }
}
