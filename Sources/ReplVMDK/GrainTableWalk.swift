import ReplIO

/// Finds out what lies where in an extent that is made of tables. Tables are read when they are needed and
/// kept in the memory that all extents of the disk share.
final class GrainTableWalk: Sendable {
  /// Bytes that lie side by side in the file, or that are alike in having no place there.
  struct Run: Equatable {
    let entry: Int64
    /// Bytes from the offset that was asked for.
    let length: Int64
  }

  let shape: GrainShape
  private let source: any GrainTableSource
  private let context: ExtentContext
  private let owner: Int

  init(_ source: any GrainTableSource, _ context: ExtentContext) {
    shape = source.shape
    self.source = source
    self.context = context
    owner = context.newOwner()
  }

  func piece(at offset: Int64) throws(IOError) -> LinkPiece {
    let grain = offset / shape.grainBytes
    let index = grain / shape.entriesPerTable
    let limit = min(shape.sizeBytes, (index + 1) * shape.tableSpanBytes) - offset
    let table = try table(index)
    guard !table.isEmpty else { return LinkPiece(kind: .absent, length: limit) }
    var position = Int(grain % shape.entriesPerTable)
    let kind = GrainEntry.kind(table[position])
    var length = shape.grainBytes - offset % shape.grainBytes
    while position + 1 < table.count, GrainEntry.kind(table[position + 1]) == kind {
      position += 1
      length += shape.grainBytes
    }
    return LinkPiece(kind: kind, length: min(length, limit))
  }

  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64? {
    var position = max(0, offset)
    while position < shape.sizeBytes {
      let index = position / shape.tableSpanBytes
      guard let present = try source.nextTable(atOrAfter: index) else { return nil }
      position = max(position, present * shape.tableSpanBytes)
      let table = try table(present)
      let first = Int(position / shape.grainBytes - present * shape.entriesPerTable)
      if !table.isEmpty, let found = table[first...].firstIndex(where: { $0 != GrainEntry.absent }) {
        return max(position, (present * shape.entriesPerTable + Int64(found)) * shape.grainBytes)
      }
      position = (present + 1) * shape.tableSpanBytes
    }
    return nil
  }

  /// The longest run from `offset` inside one table.
  func run(at offset: Int64, limitBytes: Int64) throws(IOError) -> Run {
    let grain = offset / shape.grainBytes
    let index = grain / shape.entriesPerTable
    let limit = min(limitBytes, (index + 1) * shape.tableSpanBytes - offset)
    let table = try table(index)
    guard !table.isEmpty else { return Run(entry: GrainEntry.absent, length: limit) }
    var position = Int(grain % shape.entriesPerTable)
    let first = table[position]
    let step = first > 0 ? shape.grainSectors : 0
    var next = first + step
    var length = shape.grainBytes - offset % shape.grainBytes
    while length < limit, position + 1 < table.count, table[position + 1] == next {
      position += 1
      length += shape.grainBytes
      next += step
    }
    return Run(entry: first, length: min(length, limit))
  }

  /// Fills `buffer` from grains that lie in `file` as they are.
  func read(
    from file: any StorageFile, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(IOError) {
    guard let start = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let position = offset + Int64(done)
      let run = try run(at: position, limitBytes: Int64(buffer.count - done))
      guard run.entry > 0 else { throw noData(file, position) }
      let part = UnsafeMutableRawBufferPointer(start: start + done, count: Int(run.length))
      try file.read(into: part, at: run.entry * Limits.sectorBytes + position % shape.grainBytes)
      done += part.count
    }
  }

  /// The first sector of the grain at `offset`.
  func place(in file: any StorageFile, at offset: Int64) throws(IOError) -> Int64 {
    let run = try run(at: offset, limitBytes: 1)
    guard run.entry > 0 else { throw noData(file, offset) }
    return run.entry
  }

  /// Zeros here would hide a parent's bytes: whoever asks has seen another table, so the file has changed.
  private func noData(_ file: any StorageFile, _ offset: Int64) -> IOError {
    IOError(
      .damaged, "read", path: file.path,
      detail: "grain \(offset / shape.grainBytes) was there and is not any more: the image is being written")
  }

  private func table(_ index: Int64) throws(IOError) -> [Int64] {
    if let known = context.keptEntries(owner, index) { return known }
    let table = try source.loadTable(index)
    // One look at a table that holds nothing is enough for all of its grains.
    let kept = table.allSatisfy { $0 == GrainEntry.absent } ? [] : table
    context.keep(entries: kept, owner, index)
    return kept
  }
}
