import ReplIO
import ReplModel

/// Drops points in the middle: their undo files are merged into that of the kept point before them.
///
/// What leads back to the older point wins; of the later files only the pages count that the older one lacks.
/// The merged file takes the older one's place before the later ones are removed: until then both ways lead
/// to the same content.
struct UndoMerge {
  let points: any StorageDirectory
  /// The kept point, and the undo file that leads back to it.
  let kept: RecoveryPoint
  let older: UndoFile
  /// Oldest first.
  let later: [UndoFile]

  /// Durable when it returns; nothing was removed.
  func run() throws(StandbyError) {
    let unsealed = StandbyLayout.unsealedUndo(backTo: kept.reference)
    try storing { () throws(IOError) in
      if try points.contains(unsealed) { try points.removeFile(unsealed) }
    }
    let disks = mergedDisks()
    let description = RecordFileHeader.Description(
      vm: older.reader.header.description.vm, pass: older.reader.header.description.pass,
      base: kept.reference, disks: disks)
    let writer = try RecordWriter.create(
      unsealed, in: points,
      header: RecordFileHeader(
        kind: .undo, identity: UInt64.random(in: 1...UInt64.max), description: description))
    let output = try UndoOutput(writer: writer)
    try older.forEach { (batch, body) throws(StandbyError) in try output.copy(batch, body) }
    for portion in Self.portions(disks.map(\.grid.pageCount), limit: PageSet.windowPages) {
      try merge(portion, disks, into: output)
    }
    try output.seal()
    try storing { () throws(IOError) in
      try points.rename(unsealed, to: StandbyLayout.undo(backTo: kept.reference))
      try points.sync()
    }
  }

  /// The older file's disks, in its order, then those of the kept point that only later files have.
  private func mergedDisks() -> [RecordFileHeader.Disk] {
    var disks = older.disks
    for member in kept.disks where !disks.contains(where: { $0.disk == member.disk }) {
      guard later.contains(where: { $0.disks.contains { $0.disk == member.disk } }) else { continue }
      disks.append(RecordFileHeader.Disk(disk: member.disk, grid: member.grid, keyID: member.keyID))
    }
    return disks
  }

  /// What one reading of the files deals with: of disks, by their index, the pages; at most `limit` of all of
  /// them together, which bounds the memory.
  static func portions(_ pageCounts: [Int64], limit: Int64) -> [[Int: Range<Int64>]] {
    var (portions, portion): ([[Int: Range<Int64>]], [Int: Range<Int64>]) = ([], [:])
    var room = limit
    for (index, count) in pageCounts.enumerated() {
      var page: Int64 = 0
      while page < count {
        if room == 0 {
          portions.append(portion)
          (portion, room) = ([:], limit)
        }
        let end = min(count, page + room)
        portion[index] = page..<end
        room -= end - page
        page = end
      }
    }
    return portion.isEmpty ? portions : portions + [portion]
  }

  /// Adds the later files' pages in one portion of the disks.
  private func merge(
    _ portion: [Int: Range<Int64>], _ disks: [RecordFileHeader.Disk], into output: UndoOutput
  ) throws(StandbyError) {
    var seen = disks.map { _ in PageSet() }
    try older.forEach { (batch, _) throws(StandbyError) in
      guard let bounds = portion[batch.diskIndex] else { return }
      for run in batch.runs { _ = seen[batch.diskIndex].insert(run.pages.clamped(to: bounds)) }
    }
    let opener = BatchOpener()
    for undo in later {
      try undo.forEach { (batch, _) throws(StandbyError) in
        let entry = undo.disks[batch.diskIndex]
        // Behind the end that the disk had then there is nothing to go back to.
        guard let index = disks.firstIndex(where: { $0.disk == entry.disk }), let limits = portion[index]
        else { return }
        let source = MergedBatch(batch: batch, grid: entry.grid, index: index, target: disks[index].grid)
        try source.add(to: output, limits, &seen[index]) { () throws(StandbyError) in
          try opener.inflate(batch, of: undo)
        }
      }
    }
  }
}

/// One batch of a later undo file, on its way into the merged one.
private struct MergedBatch {
  let batch: BatchRecord
  /// The disk as the batch's file has it.
  let grid: PageGrid
  /// In the merged file.
  let index: Int
  let target: PageGrid

  /// Adds the pages inside `limits` that are not in `seen`.
  func add(
    to output: UndoOutput, _ limits: Range<Int64>, _ seen: inout PageSet,
    inflate: () throws(StandbyError) -> UnsafeRawBufferPointer
  ) throws(StandbyError) {
    var data: UnsafeRawBufferPointer?
    var offset: Int64 = 0
    for run in batch.runs {
      let start = offset
      if run.kind == .data { offset += grid.bytes(of: run.pages).length }
      for pages in seen.insert(run.pages.clamped(to: limits)) where !pages.isEmpty {
        guard run.kind == .data else {
          try output.addZeros(pages, diskIndex: index)
          continue
        }
        if data == nil { data = try inflate() }
        guard let content = data else { continue }
        let skipped = start + (pages.lowerBound - run.firstPage) * Int64(grid.pageSizeBytes)
        let length = target.bytes(of: pages).length
        try output.add(pages, content.part(Int(skipped), Int(length)), diskIndex: index, grid: target)
      }
    }
  }
}
