import ReplCompression
import ReplModel

/// The body of a batch record: pages of one disk, as they came. Pointers are into the record.
struct BatchRecord {
  static let fixedBytes = 24

  let diskIndex: Int
  let codec: Codec
  let runs: [PageRun]
  let rawLength: Int
  /// 16 bytes each; empty when the record has none.
  let digestBytes: UnsafeRawBufferPointer
  let payload: UnsafeRawBufferPointer

  /// Fixed part and run table of a record; digests and payload follow.
  static func encodeHead(
    diskIndex: Int, codec: Codec, runs: [PageRun], rawLength: Int, digestCount: Int, payloadLength: Int
  ) -> [UInt8] {
    let table = RunTable.encode(runs)
    var head = [UInt8](repeating: 0, count: fixedBytes)
    head.withUnsafeMutableBytes { bytes in
      bytes.put(UInt16(diskIndex), at: 0)
      bytes.put(codec.rawValue, at: 2)
      bytes.put(UInt32(runs.count), at: 4)
      bytes.put(UInt32(rawLength), at: 8)
      bytes.put(UInt32(table.count), at: 12)
      bytes.put(UInt32(digestCount), at: 16)
      bytes.put(UInt32(payloadLength), at: 20)
    }
    return head + table
  }

  /// Nil when the body breaks a rule of the format. Its checksum is right, so that would be a mistake of
  /// ours.
  init?(_ record: Record, disks: [RecordFileHeader.Disk]) {
    let body = record.body
    guard body.count >= Self.fixedBytes, disks.indices.contains(Int(body.u16(at: 0))) else { return nil }
    diskIndex = Int(body.u16(at: 0))
    guard let codec = Codec(rawValue: body[2]), body[3] == 0 else { return nil }
    self.codec = codec
    let grid = disks[diskIndex].grid
    let (runCount, tableLength) = (Int(body.u32(at: 4)), Int(body.u32(at: 12)))
    let (digestCount, payloadLength) = (Int(body.u32(at: 16)), Int(body.u32(at: 20)))
    rawLength = Int(body.u32(at: 8))
    let hasDigests = record.flags & RecordFormat.flagDigests != 0
    guard runCount <= Limits.runsPerBatch, rawLength <= Limits.batchBytes, hasDigests || digestCount == 0,
      Self.fixedBytes + tableLength + digestCount * PageDigest.byteCount + payloadLength == body.count
    else { return nil }
    let table = body.part(Self.fixedBytes, tableLength)
    // Nil says all: the record makes no sense, and the caller names it.
    guard let runs = try? RunTable.decode(table, runCount: runCount, pageLimit: grid.pageCount) else {
      return nil
    }
    self.runs = runs
    let digestStart = Self.fixedBytes + tableLength
    digestBytes = body.part(digestStart, digestCount * PageDigest.byteCount)
    payload = body.part(digestStart + digestBytes.count, payloadLength)
    guard grid.dataBytes(of: runs) == Int64(rawLength) else { return nil }
    if hasDigests && Int64(digestCount) != runs.dataPageCount { return nil }
  }

  var hasDigests: Bool { !digestBytes.isEmpty || runs.dataPageCount == 0 }
}

extension PageGrid {
  /// Bytes of all data runs, the last page cut at the end of the disk.
  func dataBytes(of runs: [PageRun]) -> Int64 {
    runs.reduce(0) { $0 + ($1.kind == .data ? bytes(of: $1.pages).length : 0) }
  }
}

extension [PageRun] {
  var dataPageCount: Int64 { reduce(0) { $0 + ($1.kind == .data ? $1.pageCount : 0) } }
  var zeroPageCount: Int64 { reduce(0) { $0 + ($1.kind == .zero ? $1.pageCount : 0) } }
}
