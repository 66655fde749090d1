import ReplDigest
import ReplIO
import ReplModel

/// What reading a standby disk again found.
public struct VerifyReport: Sendable, Hashable {
  public let disk: DiskID
  public internal(set) var pagesChecked: Int64 = 0
  /// Pages that are not what the newest point says, in order; at most as many as were asked for.
  public internal(set) var differing: [Int64] = []
  /// Ranges that could not be read, in bytes; at most as many as pages were asked for.
  public internal(set) var unreadable: [ByteRange] = []
  /// More was found than is listed.
  public internal(set) var isCutShort = false

  public var isClean: Bool { differing.isEmpty && unreadable.isEmpty && !isCutShort }
}

extension Standby {
  /// Reads a disk of the newest point and compares every page with the map. Throws when there is no map to
  /// compare with: `.keyMissing`, or `.diverged` when it had to be made from the disk and does not have the
  /// point's root.
  public func verifyDisk(_ disk: DiskID, listLimit: Int = 1000) throws(StandbyError) -> VerifyReport {
    guard let point = catalog.newest, let member = point.disk(disk), let entry = catalog.disk(disk) else {
      throw .badOffer(detail: "disk \(disk) is in no recovery point")
    }
    guard let key = try store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    let map = try map(of: member, at: point)
    let file = try openDiskFile(entry, .read)
    let builder = try MapBuilder(disk: file, format: member.mapFormat, key: key)
    var report = VerifyReport(disk: disk)
    let expected = AlignedBuffer(byteCount: PageGrid.pagesPerLeaf * PageDigest.byteCount)
    var leaf: Int64 = 0
    while leaf < member.grid.leafCount {
      let next = try nextLeaf(leaf, file, map, member.grid)
      report.pagesChecked += skippedPages(leaf..<next, member.grid)
      guard next < member.grid.leafCount else { break }
      try verify(next, builder, map, expected.bytes.bindMemory(to: PageDigest.self), &report, listLimit)
      leaf = next + 1
    }
    return report
  }

  /// The first leaf at or after `leaf` of which disk or map say that it may hold something.
  private func nextLeaf(
    _ leaf: Int64, _ file: any StorageFile, _ map: DigestMap, _ grid: PageGrid
  ) throws(StandbyError) -> Int64 {
    let leafBytes = Int64(grid.leafSizeBytes)
    let range = try storing { () throws(IOError) in try file.allocatedRange(atOrAfter: leaf * leafBytes) }
    let inMap = try digesting { () throws(DigestError) in try map.leafWithContent(atOrAfter: leaf) }
    return [range.map { $0.offset / leafBytes }, inMap].compactMap { $0 }.min() ?? grid.leafCount
  }

  private func skippedPages(_ leaves: Range<Int64>, _ grid: PageGrid) -> Int64 {
    guard !leaves.isEmpty else { return 0 }
    return grid.pages(ofLeaf: leaves.upperBound - 1).upperBound
      - grid.pages(ofLeaf: leaves.lowerBound).lowerBound
  }

  private func verify(
    _ leaf: Int64, _ builder: MapBuilder, _ map: DigestMap,
    _ expected: UnsafeMutableBufferPointer<PageDigest>,
    _ report: inout VerifyReport, _ listLimit: Int
  ) throws(StandbyError) {
    let pages = builder.format.grid.pages(ofLeaf: leaf)
    try digesting { () throws(DigestError) in try map.readLeaf(leaf, into: expected) }
    let found: UnsafeMutableBufferPointer<PageDigest>
    do throws(StandbyError) {
      found = try builder.digests(ofLeaf: leaf)
    } catch {
      guard case .storage = error else { throw error }
      guard report.unreadable.count < listLimit else { return report.isCutShort = true }
      return report.unreadable.append(builder.format.grid.bytes(of: pages))
    }
    report.pagesChecked += Int64(pages.count)
    for (offset, page) in pages.enumerated() where found[offset] != expected[offset] {
      guard report.differing.count < listLimit else { return report.isCutShort = true }
      report.differing.append(page)
    }
  }
}
