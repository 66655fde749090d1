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
      let data = try read(
        Piece(
          leaf: leaf, disk: disk, diskIndex: diskIndex, bytes: disk.grid.bytes(of: piece),
          firstPage: piece.lowerBound, firstSlot: slot, pageCount: piece.count))
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

  /// Some pages of a leaf that are dealt with at once.
  private struct Piece {
    let leaf: Int64
    let disk: ScanDisk
    let diskIndex: Int
    let bytes: ByteRange
    let firstPage: Int64
    /// Of the leaf, for the first page.
    let firstSlot: Int
    let pageCount: Int
  }

  /// Reads the allocated part of the pages and digests it; pages in holes keep the zero digest without being
  /// read, unless the storage is held to account by them.
  private mutating func read(_ piece: Piece) throws(SourceError) -> UnsafeRawBufferPointer {
    let (disk, bytes) = (piece.disk, piece.bytes)
    let pageSize = Int64(disk.grid.pageSizeBytes)
    var done = 0
    do throws(IOError) {
      if !disk.holes.isTrusted {
        try read(0..<piece.pageCount, of: piece)
        done = piece.pageCount
      }
      while done < piece.pageCount,
        let range = try nextAllocated(
          atOrAfter: bytes.offset + Int64(done) * pageSize, disk: disk, diskIndex: piece.diskIndex),
        let wanted = range.intersection(bytes)
      {
        // Whole pages around the allocated bytes.
        let first = max(done, Int((wanted.offset - bytes.offset) / pageSize))
        let last = min(Int((wanted.end - bytes.offset + pageSize - 1) / pageSize), piece.pageCount)
        try check(hole: done..<first, of: piece)
        try read(first..<last, of: piece)
        done = last
      }
      try check(hole: done..<piece.pageCount, of: piece)
    } catch { throw .io(error) }
    return UnsafeRawBufferPointer(rebasing: buffer.readable[0..<Int(bytes.length)])
  }

  /// Reads and digests pages, counted from the piece's first.
  private mutating func read(_ pages: Range<Int>, of piece: Piece) throws(IOError) {
    let pageSize = piece.disk.grid.pageSizeBytes
    let (start, end) = (
      pages.lowerBound * pageSize, min(pages.upperBound * pageSize, Int(piece.bytes.length))
    )
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<end])
    let began = scan.times.now
    try piece.disk.image.read(into: target, at: piece.bytes.offset + Int64(start))
    let wasRead = scan.times.add(.read, since: began)
    counts.readBytes += Int64(end - start)
    let slots = (piece.firstSlot + pages.lowerBound)..<(piece.firstSlot + pages.upperBound)
    do throws(DigestError) {
      try digester.digest(
        pages: UnsafeRawBufferPointer(target), pageSizeBytes: pageSize,
        into: UnsafeMutableBufferPointer(rebasing: fresh[slots]))
    } catch { throw IOError(.limit, "digest", path: "disk", detail: "\(error)") }
    scan.times.add(.digest, since: wasRead)
  }

  /// Pages that the storage calls a hole. Read are all of a leaf that is audited, and those that held
  /// something, which a wrong hole would take away. What is found there is taken for what it is.
  private mutating func check(hole pages: Range<Int>, of piece: Piece) throws(IOError) {
    let isAudited =
      piece.disk.holes.contains(piece.leaf) || piece.disk.hint?.audit.contains(piece.leaf) == true
    var page = pages.lowerBound
    while page < pages.upperBound {
      var end = page
      while end < pages.upperBound, isAudited || !held[piece.firstSlot + end].isZero { end += 1 }
      guard end > page else {
        page += 1
        continue
      }
      try read(page..<end, of: piece)
      if let wrong = (page..<end).first(where: { !fresh[piece.firstSlot + $0].isZero }) {
        piece.disk.holes.note(piece.firstPage + Int64(wrong))
      }
      page = end
    }
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
