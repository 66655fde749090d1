import ReplCompression
import ReplIO
import ReplModel

/// The undo files that lead from what a disk holds down to one recovery point, newest first.
///
/// A point that was dropped and whose undo file is still there is a step of the way like any other. Applying
/// a chain twice, or to a disk that was copied while a settling wrote it, gives the same: every page that may
/// be torn or newer is in one of the files, for they are sealed before the disk is written.
struct UndoChain {
  let target: PointReference
  /// Newest first; the last one leads to `target`. Empty when the disk holds the target.
  let files: [UndoFile]

  /// `target` must be kept; with `isNewest` it needs no file unless a settling has begun.
  static func open(
    to target: PointReference, isNewest: Bool, in points: any StorageDirectory
  ) throws(StandbyError) -> UndoChain {
    for _ in 0..<Limits.chainAttempts {
      let steps = try UndoFile.references(in: points).filter { $0 >= target }
      guard isNewest || steps.first == target else {
        throw .pointLost(target, detail: "\(points.path)/\(StandbyLayout.undo(backTo: target)) is gone")
      }
      var files: [UndoFile] = []
      for step in steps.reversed() {
        // One that is gone was merged into an older one just now: the list has changed.
        guard let file = try UndoFile.open(backTo: step, in: points) else { break }
        files.append(file)
      }
      if files.count == steps.count { return UndoChain(target: target, files: files) }
    }
    throw .pointLost(target, detail: "\(points.path) changes faster than it can be read: try again")
  }

  var sizeBytes: Int64 {
    get throws(StandbyError) {
      var total: Int64 = 0
      for file in files {
        total += try storing { () throws(IOError) in try file.reader.file.currentSizeBytes() }
      }
      return total
    }
  }

  /// Writes the pages of all files, the target's last. `disk` answers where a disk's pages go; nil leaves it
  /// out. `note` hears of every file that is done.
  func apply(
    to disk: (DiskID) -> (any StorageFile)?,
    note: (_ doneBytes: Int64) throws(StandbyError) -> Void = { _ in }
  ) throws(StandbyError) {
    let opener = BatchOpener()
    var done: Int64 = 0
    for undo in files {
      try undo.forEach { (batch, _) throws(StandbyError) in
        let entry = undo.disks[batch.diskIndex]
        guard let file = disk(entry.disk) else { return }
        let data = try opener.inflate(batch, of: undo)
        try storing { () throws(IOError) in try file.write(batch.runs, data, grid: entry.grid) }
      }
      done += undo.reader.endBytes
      try note(done)
    }
  }
}

extension BatchOpener {
  /// The bytes of a batch's data runs; valid until the next call.
  func inflate(_ batch: BatchRecord, of undo: UndoFile) throws(StandbyError) -> UnsafeRawBufferPointer {
    do throws(CompressionError) {
      return try inflate(batch.codec, batch.payload, rawLength: batch.rawLength)
    } catch { throw .pointLost(undo.reference, detail: "\(undo.path): pages do not inflate: \(error)") }
  }
}
