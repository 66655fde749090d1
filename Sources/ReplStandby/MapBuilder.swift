import ReplDigest
import ReplIO
import ReplModel

/// Makes a digest map by reading a disk: the disk is the truth, the map is a cache.
struct MapBuilder {
  /// Bytes read at once: a leaf of 4 KiB pages.
  static let chunkBytes = 1 << 20

  let disk: any StorageFile
  let format: DigestMapFormat
  /// Writes everything that it reads once more. After a failed sync the system's cache may show what is not
  /// on the medium; what was written again and then synced without an error is there.
  let rewrites: Bool
  private let digester: PageDigester
  private let chunk = AlignedBuffer(byteCount: chunkBytes)
  private let leaf = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)

  init(
    disk: any StorageFile, format: DigestMapFormat, key: DigestKey, rewrites: Bool = false
  ) throws(StandbyError) {
    self.disk = disk
    self.format = format
    self.rewrites = rewrites
    digester = try digesting { () throws(DigestError) in try PageDigester(key: key) }
  }

  /// Fills a new map, which is all zero, from what the disk holds.
  func fill(_ map: DigestMap) throws(StandbyError) {
    _ = try fill(map, from: 0) { (_) throws(StandbyError) in true }
  }

  /// The same from a leaf on, as long as `goesOn`, asked before every leaf. Answers the leaf at which it said
  /// no; nil at the end of the disk.
  func fill(
    _ map: DigestMap, from first: Int64, goesOn: (_ leaf: Int64) throws(StandbyError) -> Bool
  ) throws(StandbyError) -> Int64? {
    let grid = format.grid
    var offset = first * Int64(grid.leafSizeBytes)
    while offset < grid.sizeBytes,
      let range = try storing({ () throws(IOError) in try disk.allocatedRange(atOrAfter: offset) })
    {
      let first = range.offset / Int64(grid.leafSizeBytes)
      let last = (min(range.end, grid.sizeBytes) - 1) / Int64(grid.leafSizeBytes)
      guard range.offset < grid.sizeBytes, first <= last else { break }
      for index in first...last {
        if try !goesOn(index) { return index }
        let digests = try digests(ofLeaf: index)
        try digesting { () throws(DigestError) in try map.writeLeaf(index, UnsafeBufferPointer(digests)) }
      }
      offset = (last + 1) * Int64(grid.leafSizeBytes)
    }
    if rewrites { try storing { () throws(IOError) in try disk.sync() } }
    return nil
  }

  /// Reads one leaf's pages from the disk; the answer is valid until the next call.
  func digests(ofLeaf index: Int64) throws(StandbyError) -> UnsafeMutableBufferPointer<PageDigest> {
    let digests = leaf.bytes.bindMemory(to: PageDigest.self)
    digests.update(repeating: .zero)
    let pages = format.grid.pages(ofLeaf: index)
    let pagesAtOnce = Int64(Self.chunkBytes / format.grid.pageSizeBytes)
    var page = pages.lowerBound
    while page < pages.upperBound {
      let end = min(page + pagesAtOnce, pages.upperBound)
      let bytes = format.grid.bytes(of: page..<end)
      let buffer = chunk.bytes.part(0, Int(bytes.length))
      try storing { () throws(IOError) in
        try disk.read(into: buffer, at: bytes.offset)
        if rewrites { try disk.write(UnsafeRawBufferPointer(buffer), at: bytes.offset) }
      }
      let start = Int(page - pages.lowerBound)
      let target = UnsafeMutableBufferPointer(rebasing: digests[start..<(start + Int(end - page))])
      try digesting { () throws(DigestError) in
        try digester.digest(
          pages: UnsafeRawBufferPointer(buffer), pageSizeBytes: format.grid.pageSizeBytes, into: target)
      }
      page = end
    }
    return digests
  }
}
