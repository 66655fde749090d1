import ReplIO
import ReplModel

/// The way back to the newest point after a failover to an older one: the pages that the undo files
/// overwrite, as the newest point has them. The same format as an undo file.
enum RedoFile {
  static func open(
    to newest: PointReference, in points: any StorageDirectory
  ) throws(StandbyError) -> UndoFile {
    let name = StandbyLayout.redo(to: newest)
    let file = try storing { () throws(IOError) in
      // That the name can be seen does not say that it was durable before a crash.
      try points.sync()
      return try points.openFile(name, .read)
    }
    guard let reader = try RecordReader.open(file), reader.header.kind == .undo,
      reader.header.description.base == newest
    else { throw .pointLost(newest, detail: "\(file.path) is not its redo file, or is damaged") }
    return UndoFile(reference: newest, reader: reader)
  }
}

/// Saves what going back will overwrite, durably and sealed, before the first page is written.
struct RedoCapture {
  let points: any StorageDirectory
  let chain: UndoChain
  let newest: RecoveryPoint
  /// The disks that are written, in the sizes that they have while the newest point is in them: those of the
  /// newest point, and those that only the target has.
  let members: [CatalogDisk]
  let target: RecoveryPoint
  let files: [DiskID: any StorageFile]

  func run() throws(StandbyError) {
    let unsealed = StandbyLayout.redo(to: newest.reference) + StandbyLayout.redoUnsealedSuffix
    try storing { () throws(IOError) in
      if try points.contains(unsealed) { try points.removeFile(unsealed) }
    }
    let disks = members.map { RecordFileHeader.Disk(disk: $0.disk, grid: $0.grid, keyID: $0.keyID) }
    let header = RecordFileHeader(
      kind: .undo, identity: UInt64.random(in: 1...UInt64.max),
      description: .init(vm: newest.vm, pass: newest.pass, base: newest.reference, disks: disks))
    let output = try UndoOutput(writer: try RecordWriter.create(unsealed, in: points, header: header))
    let windows = disks.map { ($0.grid.pageCount - 1) / PageSet.windowPages + 1 }.max() ?? 0
    for window in 0..<windows { try capture(window, disks, into: output) }
    try output.seal()
    try storing { () throws(IOError) in
      try points.rename(unsealed, to: StandbyLayout.redo(to: newest.reference))
      try points.sync()
    }
  }

  private func capture(
    _ window: Int64, _ disks: [RecordFileHeader.Disk], into output: UndoOutput
  ) throws(StandbyError) {
    let bounds = (window * PageSet.windowPages)..<((window + 1) * PageSet.windowPages)
    var seen = disks.map { _ in PageSet() }
    for undo in chain.files {
      try undo.forEach { (batch, _) throws(StandbyError) in
        let entry = undo.disks[batch.diskIndex]
        guard let index = disks.firstIndex(where: { $0.disk == entry.disk }), let file = files[entry.disk]
        else {
          return
        }
        let limits = bounds.clamped(to: 0..<disks[index].grid.pageCount)
        for run in batch.runs {
          for pages in seen[index].insert(run.pages.clamped(to: limits)) where !pages.isEmpty {
            try save(pages, of: file, index: index, grid: disks[index].grid, into: output)
          }
        }
      }
    }
    try captureTails(bounds, disks, &seen, into: output)
  }

  /// Pages that the cut to an older, smaller size takes away. Holes come back by themselves.
  private func captureTails(
    _ bounds: Range<Int64>, _ disks: [RecordFileHeader.Disk], _ seen: inout [PageSet], into output: UndoOutput
  ) throws(StandbyError) {
    for (index, disk) in disks.enumerated() {
      guard let file = files[disk.disk], let then = target.disk(disk.disk)?.grid,
        then.sizeBytes < disk.grid.sizeBytes
      else { continue }
      let pageBytes = Int64(disk.grid.pageSizeBytes)
      var offset = then.sizeBytes / pageBytes * pageBytes
      while offset < disk.grid.sizeBytes,
        let range = try storing({ () throws(IOError) in try file.allocatedRange(atOrAfter: offset) }),
        range.offset < disk.grid.sizeBytes
      {
        let end = min(range.end, disk.grid.sizeBytes)
        let tail = (range.offset / pageBytes)..<((end - 1) / pageBytes + 1)
        for pages in seen[index].insert(tail.clamped(to: bounds)) where !pages.isEmpty {
          try save(pages, of: file, index: index, grid: disk.grid, into: output)
        }
        offset = end
      }
    }
  }

  private func save(
    _ pages: Range<Int64>, of file: any StorageFile, index: Int, grid: PageGrid, into output: UndoOutput
  ) throws(StandbyError) {
    let buffer = AlignedBuffer(byteCount: Limits.batchBytes)
    let atOnce = Int64(Limits.batchBytes / grid.pageSizeBytes)
    var page = pages.lowerBound
    while page < pages.upperBound {
      let end = min(pages.upperBound, page + atOnce)
      let bytes = grid.bytes(of: page..<end)
      let part = buffer.bytes.part(0, Int(bytes.length))
      try storing { () throws(IOError) in try file.read(into: part, at: bytes.offset) }
      try output.add(page..<end, UnsafeRawBufferPointer(part), diskIndex: index, grid: grid)
      page = end
    }
  }
}

extension StandbyLayout {
  static let redoUnsealedSuffix = ".new"
  static func redo(to point: PointReference) -> String { "\(point).redo" }
}
