import ReplDigest
import ReplIO
import ReplModel

/// Copies what a disk holds into an empty file; what is zero stays a hole.
struct DiskCopy {
  private static let chunkBytes = 1 << 20
  private static let pieceBytes = 64 << 10
  /// Free space is asked for once in so many bytes.
  private static let bytesBetweenLooks: Int64 = 256 << 20

  let source: any StorageFile
  let target: any StorageFile
  /// Where it ends.
  let grid: PageGrid
  let progress: (_ doneBytes: Int64, _ totalBytes: Int64) -> Void

  /// Throws `.outOfSpace` before the floor is reached.
  func run(freeBytes: () throws(StandbyError) -> Int64) throws(StandbyError) {
    let buffer = AlignedBuffer(byteCount: Self.chunkBytes)
    let end = min(grid.sizeBytes, try storing { () throws(IOError) in try source.currentSizeBytes() })
    try storing { () throws(IOError) in try target.truncate(to: grid.sizeBytes) }
    var (offset, looked): (Int64, Int64) = (0, -Self.bytesBetweenLooks)
    var written: Int64 = 0
    while offset < end,
      let range = try storing({ () throws(IOError) in try source.allocatedRange(atOrAfter: offset) }),
      range.offset < end
    {
      offset = max(offset, range.offset)
      let stop = min(range.end, end)
      while offset < stop {
        if written - looked >= Self.bytesBetweenLooks {
          looked = written
          try checkSpace(min(Self.bytesBetweenLooks, end - offset), freeBytes)
        }
        let count = Int(min(Int64(Self.chunkBytes), stop - offset))
        let part = buffer.bytes.part(0, count)
        let start = offset
        try storing { () throws(IOError) in
          try source.read(into: part, at: start)
          try write(UnsafeRawBufferPointer(part), at: start)
        }
        offset += Int64(count)
        written += Int64(count)
        progress(offset, grid.sizeBytes)
      }
    }
  }

  private func checkSpace(
    _ neededBytes: Int64, _ freeBytes: () throws(StandbyError) -> Int64
  ) throws(StandbyError) {
    let free = try freeBytes()
    guard free >= neededBytes else {
      throw .pointRefused(
        detail:
          "\(target.path): \(neededBytes) bytes are needed to go on, and \(free) are free above the floor: "
          + "free some, or name a folder on another storage with --to")
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    var done = 0
    while done < bytes.count {
      let piece = bytes.part(done, min(Self.pieceBytes, bytes.count - done))
      if !ZeroTest.isZero(piece) { try target.write(piece, at: offset + Int64(done)) }
      done += piece.count
    }
  }
}
