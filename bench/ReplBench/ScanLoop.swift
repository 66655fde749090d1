import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplSource

/// The scan of a disk that is in the page cache and as it was: read, zero test, digest, compare with the map
/// of the newest point. The rate is that of the bytes read; what the disk has not allocated is not.
enum ScanLoop {
  private static let pageSizeBytes = 4 << 10

  static func scan(_ inputs: Inputs) throws -> Double {
    guard let grid = PageGrid(sizeBytes: inputs.disk.sizeBytes, pageSizeBytes: pageSizeBytes) else {
      throw BenchError("a disk of \(inputs.disk.sizeBytes) bytes")
    }
    let key = try DigestKey.generate()
    let format = DigestMapFormat(disk: .random(), grid: grid, keyID: key.id)
    let base = try DigestMap.create("map", in: inputs.folder, format: format)
    let readBytes = try fill(base, from: inputs.disk, key)
    _ = try base.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: .random())
    return try Rate.measureParts(bytes: readBytes) {
      let delta = try DigestDelta.create("delta", in: inputs.folder, over: base)
      let start = SystemTime().monotonicNanoseconds()
      let scan = PageScan(
        disks: [ScanDisk(image: inputs.disk, grid: grid, base: base, held: base, delta: delta)], key: key,
        codec: .zstd, tracker: ResumeTracker(leafCount: grid.leafCount))
      scan.start()
      guard try scan.next() == nil else { throw BenchError("a page changed in a disk that nobody writes") }
      let elapsed = SystemTime().monotonicNanoseconds() - start
      guard scan.counts[0].readBytes >= Int64(readBytes) else {
        throw BenchError("the scan read \(scan.counts[0].readBytes) bytes instead of \(readBytes)")
      }
      return elapsed
    }
  }

  /// The map of the disk as it is; bytes read.
  private static func fill(_ map: DigestMap, from disk: PosixFile, _ key: DigestKey) throws -> Int {
    let digester = try PageDigester(key: key)
    let grid = map.format.grid
    let buffer = AlignedBuffer(byteCount: grid.leafSizeBytes)
    let digests = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: PageGrid.pagesPerLeaf)
    defer { digests.deallocate() }
    for leaf in 0..<grid.leafCount {
      let bytes = grid.bytes(of: grid.pages(ofLeaf: leaf))
      let target = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<Int(bytes.length)])
      try disk.read(into: target, at: bytes.offset)
      digests.initialize(repeating: .zero)
      try digester.digest(
        pages: UnsafeRawBufferPointer(target), pageSizeBytes: grid.pageSizeBytes, into: digests)
      try map.writeLeaf(leaf, UnsafeBufferPointer(digests))
    }
    return try allocatedBytes(of: disk)
  }

  private static func allocatedBytes(of disk: PosixFile) throws -> Int {
    var total: Int64 = 0
    var position: Int64 = 0
    while let range = try disk.allocatedRange(atOrAfter: position) {
      total += range.length
      position = range.end
    }
    return Int(total)
  }
}
