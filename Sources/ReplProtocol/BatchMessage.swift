import ReplCompression
import ReplModel

/// One batch as its payload describes it. The data itself stays in the payload.
public struct Batch: Hashable, Sendable {
  /// Index of the disk in the offer.
  public let diskIndex: Int
  /// How the data is packed.
  public let codec: Codec
  /// Ascending, without overlap, inside the disk.
  public let runs: [PageRun]
  /// Bytes of all data runs before the codec.
  public let rawLength: Int
  /// MAC over the digests of the data runs' pages.
  public let digest: PageDigest
  /// Where in the frame's payload the (compressed) data stands.
  public let payload: Range<Int>
}

/// The payload of `batch`: a header of 32 bytes, the run table, the data through the codec.
public enum BatchMessage {
  /// Bytes before the run table.
  public static let headerByteCount = 32

  /// Everything before the data, which the caller sends as parts of its own without copying it. Checks what
  /// `decode` checks: a batch that the peer would refuse is not sent.
  /// - Parameter payloadLength: bytes of data that will follow, after the codec.
  public static func encodePrefix(
    diskIndex: Int, grid: PageGrid, codec: Codec, runs: [PageRun], digest: PageDigest, payloadLength: Int,
    limits: ProtocolLimits = .standard
  ) throws(ProtocolError) -> [UInt8] {
    guard diskIndex >= 0, diskIndex < limits.disks else {
      throw .batch(.foreignDisk(index: diskIndex, disks: limits.disks))
    }
    try checkRunCount(runs.count, limits)
    for run in runs where run.firstPage > grid.pageCount - run.pageCount {
      throw .batch(.runTable(.outOfRange))
    }
    let rawLength = dataByteCount(of: runs, grid: grid)
    guard rawLength <= limits.batchRawBytes else {
      throw .batch(.rawLength(found: Int(rawLength), limit: limits.batchRawBytes))
    }
    let table = RunTable.encode(runs)
    try checkTableLength(table.count, limits)
    try checkPayload(payloadLength, codec, rawLength: Int(rawLength))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(headerByteCount + table.count)
    LittleEndian.append(UInt16(diskIndex), to: &bytes)
    bytes.append(codec.rawValue)
    bytes.append(0)
    LittleEndian.append(UInt32(runs.count), to: &bytes)
    LittleEndian.append(UInt32(rawLength), to: &bytes)
    LittleEndian.append(UInt32(table.count), to: &bytes)
    LittleEndian.append(digest.low, to: &bytes)
    LittleEndian.append(digest.high, to: &bytes)
    bytes.append(contentsOf: table)
    return bytes
  }

  /// Reads and checks a batch payload; nothing is allocated from a number that was not checked.
  /// - Parameters:
  ///   - disks: the grids of the offer, by disk index.
  ///   - codecs: those that the hellos agreed on.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer, disks: [PageGrid], codecs: Set<Codec>,
    limits: ProtocolLimits = .standard
  ) throws(ProtocolError) -> Batch {
    let allowed = limits.payloadLengths(of: .batch)
    guard allowed.contains(bytes.count) else {
      throw .payloadLength(.batch, found: bytes.count, allowed: allowed)
    }
    let diskIndex = Int(LittleEndian.read(UInt16.self, bytes, at: 0))
    guard diskIndex < disks.count else {
      throw .batch(.foreignDisk(index: diskIndex, disks: disks.count))
    }
    guard let codec = Codec(rawValue: bytes[2]) else { throw .batch(.unknownCodec(bytes[2])) }
    guard codecs.contains(codec) else { throw .batch(.codecNotAgreed(bytes[2])) }
    guard bytes[3] == 0 else { throw .reserved(field: "batch reserved", found: UInt64(bytes[3])) }
    let runCount = Int(LittleEndian.read(UInt32.self, bytes, at: 4))
    try checkRunCount(runCount, limits)
    let rawLength = Int(LittleEndian.read(UInt32.self, bytes, at: 8))
    guard rawLength <= limits.batchRawBytes else {
      throw .batch(.rawLength(found: rawLength, limit: limits.batchRawBytes))
    }
    let tableLength = Int(LittleEndian.read(UInt32.self, bytes, at: 12))
    try checkTableLength(tableLength, limits)
    guard tableLength <= bytes.count - headerByteCount else {
      throw .batch(.tableLength(found: tableLength, limit: bytes.count - headerByteCount))
    }
    let payload = (headerByteCount + tableLength)..<bytes.count
    try checkPayload(payload.count, codec, rawLength: rawLength)
    let runs = try runs(
      UnsafeRawBufferPointer(rebasing: bytes[headerByteCount..<payload.lowerBound]), count: runCount,
      grid: disks[diskIndex], rawLength: rawLength)
    let digest = PageDigest(
      low: LittleEndian.read(UInt64.self, bytes, at: 16), high: LittleEndian.read(UInt64.self, bytes, at: 24))
    return Batch(
      diskIndex: diskIndex, codec: codec, runs: runs, rawLength: rawLength, digest: digest, payload: payload)
  }

  /// Bytes of all data runs: only the real ones of a short last page. The runs lie inside the disk.
  public static func dataByteCount(of runs: [PageRun], grid: PageGrid) -> Int64 {
    // Runs inside one disk without overlap: the sum is at most the disk's size.
    runs.reduce(0) { $1.kind == .data ? $0 + grid.bytes(of: $1.pages).length : $0 }
  }

  private static func runs(
    _ table: UnsafeRawBufferPointer, count: Int, grid: PageGrid, rawLength: Int
  ) throws(ProtocolError) -> [PageRun] {
    let runs: [PageRun]
    do {
      runs = try RunTable.decode(table, runCount: count, pageLimit: grid.pageCount)
    } catch {
      throw .batch(.runTable(error))
    }
    let found = dataByteCount(of: runs, grid: grid)
    guard found == Int64(rawLength) else { throw .batch(.dataLength(found: found, declared: rawLength)) }
    return runs
  }

  private static func checkRunCount(_ count: Int, _ limits: ProtocolLimits) throws(ProtocolError) {
    guard (1...limits.runsPerBatch).contains(count) else {
      throw .batch(.runCount(found: count, limit: limits.runsPerBatch))
    }
  }

  private static func checkTableLength(_ length: Int, _ limits: ProtocolLimits) throws(ProtocolError) {
    let limit = limits.batchOverheadBytes - headerByteCount
    guard (2...limit).contains(length) else { throw .batch(.tableLength(found: length, limit: limit)) }
  }

  private static func checkPayload(
    _ length: Int, _ codec: Codec, rawLength: Int
  ) throws(ProtocolError) {
    let isRight = codec == .raw || rawLength == 0 ? length == rawLength : (1...rawLength).contains(length)
    guard isRight else {
      throw .batch(.payloadLength(found: length, codec: codec.rawValue, rawLength: rawLength))
    }
  }
}
