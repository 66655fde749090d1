import Glibc
import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// One reader thread of a scan: takes the leaves that may hold something, in order, reads what is allocated,
/// digests, compares with what the receiver holds and cuts the differences into batches.
struct LeafReader {
  private let scan: PageScan
  private let digester: PageDigester
  private let buffer = AlignedBuffer(hugePagesFor: PageScan.Limits.readBytes)
  private let fresh = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
  private let held = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
  private var cutter: RunCutter
  /// The allocated range of `allocatedDisk` last asked for: a long range is asked for once, not once a leaf.
  private var allocated: ByteRange?
  private var allocatedDisk = -1
  private var allocatedAskedFrom: Int64 = 0
  private var counts = PageScan.Counts()

  init(scan: PageScan) throws(SourceError) {
    self.scan = scan
    cutter = RunCutter(scan: scan)
    do throws(DigestError) { digester = try PageDigester(key: scan.key) } catch { throw .digest(error) }
  }

  mutating func run() throws(SourceError) {
    defer {
      fresh.deallocate()
      held.deallocate()
    }
    var leavesUntilFlush = PageScan.Limits.leavesBetweenFlushes
    // Asked for at every leaf: where nothing has changed, no queue is touched that could tell.
    while !scan.isStopped, let leaf = try scan.cursor.next() {
      counts = PageScan.Counts()
      guard try process(leaf.index, number: leaf.number, diskIndex: leaf.diskIndex) else { return }
      scan.add(counts, disk: leaf.diskIndex)
      scan.tracker.release(leaf.token)
      leavesUntilFlush -= 1
      if leavesUntilFlush == 0 {
        cutter.flush()
        leavesUntilFlush = PageScan.Limits.leavesBetweenFlushes
      }
    }
    cutter.flush()
  }

  /// False when the scan was stopped.
  private mutating func process(_ leaf: Int64, number: Int64, diskIndex: Int) throws(SourceError) -> Bool {
    let disk = scan.disks[diskIndex]
    let pages = disk.grid.pages(ofLeaf: leaf)
    do throws(DigestError) { try disk.held.readLeaf(leaf, into: held) } catch { throw .digest(error) }
    fresh.update(repeating: .zero)
    var differs = false
    var page = pages.lowerBound
    let pagesPerRead = Int64(PageScan.Limits.readBytes / disk.grid.pageSizeBytes)
    while page < pages.upperBound {
      let piece = page..<min(page + pagesPerRead, pages.upperBound)
      let slot = Int(page - pages.lowerBound)
      let range = slot..<(slot + piece.count)
      let data = try read(piece, of: disk, diskIndex: diskIndex, into: range)
      if memcmp(fresh.baseAddress! + slot, held.baseAddress! + slot, piece.count * PageDigest.byteCount) != 0
      {
        differs = true
        let comparison = RunCutter.Comparison(
          fresh: UnsafeBufferPointer(rebasing: fresh[range]),
          held: UnsafeBufferPointer(rebasing: held[range]),
          firstPage: page, data: data)
        guard cutter.cut(comparison, grid: disk.grid, diskIndex: diskIndex, leaf: number, counts: &counts)
        else {
          return false
        }
      }
      page = piece.upperBound
    }
    try note(leaf, differs: differs, disk: disk)
    return true
  }

  /// Reads the allocated part of the pages and digests it; pages in holes keep the zero digest without being
  /// read.
  private mutating func read(
    _ pages: Range<Int64>, of disk: ScanDisk, diskIndex: Int, into slots: Range<Int>
  ) throws(SourceError) -> UnsafeRawBufferPointer {
    let bytes = disk.grid.bytes(of: pages)
    let pageSize = disk.grid.pageSizeBytes
    var position = bytes.offset
    do throws(IOError) {
      while let range = try nextAllocated(atOrAfter: position, disk: disk, diskIndex: diskIndex),
        let wanted = range.intersection(bytes)
      {
        // Whole pages around the allocated bytes: what lies in the hole reads as zero.
        let first = (wanted.offset - bytes.offset) / Int64(pageSize)
        let last = min(
          (wanted.end - bytes.offset + Int64(pageSize) - 1) / Int64(pageSize), Int64(pages.count))
        let start = Int(first) * pageSize
        let end = min(Int(last) * pageSize, Int(bytes.length))
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<end])
        let began = scan.times.now
        try disk.image.read(into: target, at: bytes.offset + Int64(start))
        let wasRead = scan.times.add(.read, since: began)
        counts.readBytes += Int64(end - start)
        do throws(DigestError) {
          let digests = UnsafeMutableBufferPointer(
            rebasing: fresh[(slots.lowerBound + Int(first))..<(slots.lowerBound + Int(last))])
          try digester.digest(pages: UnsafeRawBufferPointer(target), pageSizeBytes: pageSize, into: digests)
        } catch { throw IOError(.limit, "digest", path: "disk", detail: "\(error)") }
        scan.times.add(.digest, since: wasRead)
        position = bytes.offset + Int64(end)
        if position >= bytes.end { break }
      }
    } catch { throw .io(error) }
    return UnsafeRawBufferPointer(rebasing: buffer.readable[0..<Int(bytes.length)])
  }

  private mutating func nextAllocated(
    atOrAfter position: Int64, disk: ScanDisk, diskIndex: Int
  ) throws(IOError) -> ByteRange? {
    if allocatedDisk == diskIndex, position >= allocatedAskedFrom {
      guard let allocated else { return nil }
      if position < allocated.end {
        let start = max(position, allocated.offset)
        return ByteRange(offset: start, length: allocated.end - start)
      }
    }
    allocated = try disk.image.allocatedRange(atOrAfter: position)
    allocatedDisk = diskIndex
    allocatedAskedFrom = position
    return allocated
  }

  /// Keeps the tentative delta right: it holds exactly the leaves that differ from the base.
  private func note(_ leaf: Int64, differs: Bool, disk: ScanDisk) throws(SourceError) {
    if disk.isDeltaComplete { return }
    do throws(DigestError) {
      if disk.held === disk.base {
        disk.hint?.judge(leaf, read: fresh.baseAddress!, base: held.baseAddress!)
        if differs { try disk.delta.writeLeaf(leaf, UnsafeBufferPointer(fresh)) }
        return
      }
      try disk.base.readLeaf(leaf, into: held)
      disk.hint?.judge(leaf, read: fresh.baseAddress!, base: held.baseAddress!)
      let count = PageGrid.pagesPerLeaf * PageDigest.byteCount
      if memcmp(fresh.baseAddress!, held.baseAddress!, count) != 0 {
        try disk.delta.writeLeaf(leaf, UnsafeBufferPointer(fresh))
      }
    } catch { throw .digest(error) }
  }
}
