import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplSource

/// A disk with holes that remembers what was read.
private final class HoleyDisk: BlockReadable {
  let bytes: [UInt8]
  let allocated: [ByteRange]
  private let reads = Mutex<[ByteRange]>([])

  init(_ bytes: [UInt8], allocated: [ByteRange]) {
    self.bytes = bytes
    self.allocated = allocated
  }

  var sizeBytes: Int64 { Int64(bytes.count) }
  var readRanges: [ByteRange] { reads.withLock { $0 } }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    reads.withLock { $0.append(ByteRange(offset: offset, length: Int64(buffer.count))) }
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: .init(rebasing: $0[Int(offset)..<(Int(offset) + buffer.count)]))
    }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    for range in allocated where range.end > offset {
      let start = max(range.offset, offset)
      return ByteRange(offset: start, length: range.end - start)
    }
    return nil
  }
}

@Suite struct PageScanTests {
  private static let key = DigestKey(
    id: KeyID(high: 1, low: 1), bytes: PageMaker.random(byteCount: 32, seed: 1))!
  private static let page = 4096

  /// What one scan found: the disk as a receiver would have it, and the batches.
  private struct Found {
    var image: [UInt8]
    var runs: [PageRun] = []
    var codecs: Set<Codec> = []
    var counts = PageScan.Counts()
    var wrongHole: Int64?
  }

  /// Scans `disk` against a map of `held`, and applies what comes to `held`.
  private func scan(
    _ disk: HoleyDisk, held: [UInt8], codec: Codec = .zstd, auditing leaf: UInt64 = 0, trusting: Bool = true
  ) throws -> Found {
    let grid = try #require(PageGrid(sizeBytes: disk.sizeBytes, pageSizeBytes: Self.page))
    let machine = SimulatedMachine(disks: ["maps"])
    let directory = machine.disk("maps")
    let format = DigestMapFormat(disk: DiskID(high: 1, low: 1), grid: grid, keyID: Self.key.id)
    let base = try DigestMap.create("base", in: directory, format: format)
    try fill(base, from: held, grid: grid)
    _ = try base.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: .random())
    let delta = try DigestDelta.create("delta", in: directory, over: base)
    let tracker = ResumeTracker(leafCount: grid.leafCount)
    let holes = HoleAudit(grid: grid, turn: leaf, leavesPerPass: 1)
    if !trusting { holes.distrust() }
    let scan = PageScan(
      disks: [ScanDisk(image: disk, grid: grid, base: base, held: base, delta: delta, holes: holes)],
      key: Self.key, codec: codec, tracker: tracker)
    scan.start()
    var found = Found(image: held)
    let decompressor = Decompressor()
    while let batch = try scan.next() {
      try apply(batch, to: &found, grid: grid, decompressor)
      tracker.release(batch.token)
      scan.recycle(batch)
    }
    found.counts = scan.counts[0]
    found.wrongHole = holes.contradiction
    #expect(tracker.position == grid.leafCount, "everything is dealt with")
    // The tentative delta over the base is the map of what was scanned.
    let whole = try DigestMap.create("whole", in: directory, format: format)
    try fill(whole, from: disk.bytes, grid: grid)
    #expect(try delta.root() == whole.finish(at: PointReference(epoch: Epoch(1), number: 2), pass: .random()))
    return found
  }

  private func fill(_ map: DigestMap, from bytes: [UInt8], grid: PageGrid) throws {
    let digester = try PageDigester(key: Self.key)
    for leaf in 0..<grid.leafCount {
      let pages = grid.pages(ofLeaf: leaf)
      let range = grid.bytes(of: pages)
      var digests = [PageDigest](repeating: .zero, count: pages.count)
      try bytes.withUnsafeBytes { bytes in
        let part = UnsafeRawBufferPointer(rebasing: bytes[Int(range.offset)..<Int(range.end)])
        try digests.withUnsafeMutableBufferPointer {
          try digester.digest(pages: part, pageSizeBytes: Self.page, into: $0)
        }
      }
      try digests.withUnsafeBufferPointer { try map.writeLeaf(leaf, $0) }
    }
  }

  private func apply(
    _ batch: OutgoingBatch, to found: inout Found, grid: PageGrid, _ decompressor: Decompressor
  ) throws {
    var raw = [UInt8](repeating: 0, count: batch.rawLength)
    try raw.withUnsafeMutableBytes { try decompressor.decompress(batch.codec, batch.payload, into: $0) }
    var offset = 0
    for run in batch.runs {
      let range = grid.bytes(of: run.pages)
      let length = Int(range.length)
      let bytes =
        run.kind == .zero ? [UInt8](repeating: 0, count: length) : Array(raw[offset..<(offset + length)])
      if run.kind == .data { offset += length }
      found.image.replaceSubrange(Int(range.offset)..<Int(range.end), with: bytes)
    }
    if batch.rawLength > 0 { found.codecs.insert(batch.codec) }
    found.runs += batch.runs
  }

  /// 3 MiB and a half page: holes, text, noise, and a short last page.
  private static let size = (3 << 20) + 2048

  private static func makeDisk() -> HoleyDisk {
    var bytes = [UInt8](repeating: 0, count: size)
    func put(_ start: Int, _ content: [UInt8]) {
      bytes.replaceSubrange(start..<(start + content.count), with: content)
    }
    put(8192, PageMaker.text(byteCount: 40_960, seed: 2))
    put(1 << 20, PageMaker.random(byteCount: 65_536, seed: 3))
    put(size - 2048, PageMaker.random(byteCount: 2048, seed: 4))
    return HoleyDisk(
      bytes,
      allocated: [
        ByteRange(offset: 8192, length: 40_960), ByteRange(offset: 1 << 20, length: 65_536),
        ByteRange(offset: Int64(size) - 2048, length: 2048),
      ])
  }

  @Test("a first copy sends exactly the data, and of the holes it reads those of the leaf that is audited")
  func firstCopy() throws {
    let disk = Self.makeDisk()
    let found = try scan(disk, held: [UInt8](repeating: 0, count: Self.size), auditing: 2)
    #expect(found.image == disk.bytes && found.wrongHole == nil)
    #expect(found.counts.zeroPages == 0 && found.counts.dataPages == 27)
    #expect(found.counts.readBytes == 40_960 + 65_536 + 2048 + (1 << 20))
    let audited = ByteRange(offset: 2 << 20, length: 1 << 20)
    for read in disk.readRanges {
      #expect(
        (disk.allocated + [audited]).contains { $0.offset <= read.offset && read.end <= $0.end }, "\(read)")
    }
  }

  @Test("a hole where the receiver holds data is read before it is believed: a zero run")
  func hole() throws {
    let disk = Self.makeDisk()
    var held = disk.bytes
    held.replaceSubrange((2 << 20)..<((2 << 20) + 12_288), with: PageMaker.text(byteCount: 12_288, seed: 9))
    let found = try scan(disk, held: held)
    #expect(found.image == disk.bytes && found.wrongHole == nil)
    #expect(found.runs == [PageRun(kind: .zero, firstPage: 512, pageCount: 3)])
    #expect(disk.readRanges.contains(ByteRange(offset: 2 << 20, length: 12_288)))
  }

  @Test(
    "a hole that holds something is found where data was or the audit looks, and by a scan that trusts none",
    arguments: [
      // Where, whether the receiver held it, what is audited, and whether it is seen.
      (520, true, 0, true), (520, false, 2, true), (520, false, 0, false), (20, false, 0, true),
    ])
  func lyingHole(page: Int, isHeld: Bool, audited: UInt64, isSeen: Bool) throws {
    let honest = Self.makeDisk()
    var bytes = honest.bytes
    let place = (page * 4096)..<((page + 1) * 4096)
    bytes.replaceSubrange(place, with: PageMaker.random(byteCount: 4096, seed: 77))
    let disk = HoleyDisk(bytes, allocated: honest.allocated)
    let held = isHeld ? bytes : honest.bytes
    if isSeen {
      let found = try scan(disk, held: held, auditing: audited)
      #expect(found.wrongHole == Int64(place.lowerBound) && found.image == bytes)
    }
    let found = try scan(disk, held: held, auditing: audited, trusting: false)
    #expect(found.image == bytes && found.counts.readBytes == Int64(bytes.count))
  }

  @Test("an unchanged disk sends nothing")
  func unchanged() throws {
    let disk = Self.makeDisk()
    let found = try scan(disk, held: disk.bytes)
    #expect(found.runs.isEmpty && found.counts.changedBytes == 0)
  }

  @Test(
    "noise goes raw, text goes through the codec, whichever codec both sides have",
    arguments: [Codec.zstd, .zlib])
  func codecs(_ codec: Codec) throws {
    let disk = Self.makeDisk()
    let found = try scan(disk, held: [UInt8](repeating: 0, count: Self.size), codec: codec)
    #expect(found.codecs == [.raw, codec])
    let plain = try scan(disk, held: [UInt8](repeating: 0, count: Self.size), codec: .raw)
    #expect(plain.codecs == [.raw] && plain.image == disk.bytes)
  }

  @Test("a scan that is cancelled ends at once, also where nothing changes, and never passes for a whole one")
  func cancelled() throws {
    let disk = CountingDisk(sizeBytes: 4 << 30)
    let grid = try #require(PageGrid(sizeBytes: disk.sizeBytes, pageSizeBytes: 65_536))
    let machine = SimulatedMachine(disks: ["maps"])
    let format = DigestMapFormat(disk: DiskID(high: 1, low: 1), grid: grid, keyID: Self.key.id)
    let base = try DigestMap.create("base", in: machine.disk("maps"), format: format)
    _ = try base.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: .random())
    let delta = try DigestDelta.create("delta", in: machine.disk("maps"), over: base)
    let scan = PageScan(
      disks: [ScanDisk(image: disk, grid: grid, base: base, held: base, delta: delta)], key: Self.key,
      codec: .zstd, tracker: ResumeTracker(leafCount: grid.leafCount))
    scan.start()
    disk.waitForFirstRead()
    scan.cancel()
    let error = #expect(throws: SourceError.self) { while try scan.next() != nil {} }
    guard case .stopped = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(disk.readCount < 200, "of 4096 reads, \(disk.readCount) were made")
  }

  @Test("a read error ends the scan with that error")
  func readError() throws {
    let disk = HoleyDisk([UInt8](repeating: 1, count: 4096), allocated: [ByteRange(offset: 0, length: 4096)])
    let broken = BrokenDisk(disk)
    let grid = try #require(PageGrid(sizeBytes: 4096, pageSizeBytes: 4096))
    let machine = SimulatedMachine(disks: ["maps"])
    let format = DigestMapFormat(disk: DiskID(high: 1, low: 1), grid: grid, keyID: Self.key.id)
    let base = try DigestMap.create("base", in: machine.disk("maps"), format: format)
    _ = try base.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: .random())
    let delta = try DigestDelta.create("delta", in: machine.disk("maps"), over: base)
    let scan = PageScan(
      disks: [ScanDisk(image: broken, grid: grid, base: base, held: base, delta: delta)], key: Self.key,
      codec: .zstd,
      tracker: ResumeTracker(leafCount: 1))
    scan.start()
    let error = #expect(throws: SourceError.self) { while try scan.next() != nil {} }
    #expect("\(String(describing: error))".contains("disk.vmdk"))
  }
}

/// Every read fails.
private final class BrokenDisk: BlockReadable {
  private let disk: HoleyDisk
  init(_ disk: HoleyDisk) { self.disk = disk }
  var sizeBytes: Int64 { disk.sizeBytes }
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    throw IOError(.system(5), "read", path: "disk.vmdk", offsetBytes: offset)
  }
  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try disk.allocatedRange(atOrAfter: offset)
  }
}

/// Zeros that must be read; counts the reads.
private final class CountingDisk: BlockReadable {
  let sizeBytes: Int64
  private let reads = Monitor(0)

  init(sizeBytes: Int64) { self.sizeBytes = sizeBytes }

  var readCount: Int { reads.withLock { $0 } }
  func waitForFirstRead() { _ = reads.wait(seconds: 10) { $0 > 0 ? true : nil } }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    reads.withLock { $0 += 1 }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    offset < sizeBytes ? ByteRange(offset: offset, length: sizeBytes - offset) : nil
  }
}
