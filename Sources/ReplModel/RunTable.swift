/// The list of runs of one batch, ascending and without overlap, as bytes.
///
/// Per run two unsigned LEB128 numbers: the gap in pages since the end of the run before (since page 0 for
/// the first), then `pageCount * 2 + kind` (kind 0 data, 1 zero). Ascending order without overlap needs no
/// check: no other order can be written. The same bytes stand on the wire and in the journal.
public enum RunTable {
  public static func encode(_ runs: [PageRun]) -> [UInt8] {
    var bytes: [UInt8] = []
    var position: Int64 = 0
    for run in runs {
      precondition(run.firstPage >= position, "runs must ascend without overlap")
      append(UInt64(run.firstPage - position), to: &bytes)
      append(UInt64(run.pageCount) << 1 | UInt64(run.kind.rawValue), to: &bytes)
      position = run.firstPage + run.pageCount
    }
    return bytes
  }

  /// Decodes a table that must hold exactly `runCount` runs inside `0..<pageLimit` and use every byte.
  /// Callers bound `runCount` before they call.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer, runCount: Int, pageLimit: Int64
  ) throws(RunTableError) -> [PageRun] {
    // Two bytes a run at the least: a count that the bytes cannot hold is refused before anything is
    // reserved.
    guard runCount >= 0, runCount <= bytes.count / 2 else { throw .truncated }
    var runs: [PageRun] = []
    runs.reserveCapacity(runCount)
    var offset = 0
    var position: UInt64 = 0
    for _ in 0..<runCount {
      let gap = try number(bytes, &offset)
      let packed = try number(bytes, &offset)
      let count = packed >> 1
      let (first, overflow) = position.addingReportingOverflow(gap)
      guard !overflow, count > 0 else { throw count == 0 ? .emptyRun : .outOfRange }
      let (end, overflowEnd) = first.addingReportingOverflow(count)
      guard !overflowEnd, end <= UInt64(pageLimit) else { throw .outOfRange }
      let kind: PageRun.Kind = packed & 1 == 0 ? .data : .zero
      runs.append(PageRun(kind: kind, firstPage: Int64(first), pageCount: Int64(count)))
      position = end
    }
    guard offset == bytes.count else { throw .trailingBytes }
    return runs
  }

  private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private static func number(
    _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(RunTableError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard offset < bytes.count else { throw .truncated }
      let byte = bytes[offset]
      offset += 1
      // Nine groups of seven bits are 63 bits: more cannot be a page number.
      guard shift < 63 else { throw .outOfRange }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
  }
}

/// Why the bytes are no run table.
public enum RunTableError: Error, Hashable, Sendable {
  case truncated, emptyRun, outOfRange, trailingBytes
}
