import ReplIO
import ReplModel
import Synchronization

/// A flat extent: a range of a file or device, byte for byte.
final class FlatExtent: LinkExtent {
  let sizeBytes: Int64
  private let file: DiskFile
  private let startBytes: Int64
  /// The stretch of data that was found last, in bytes of the file. A file system finds the end of data by
  /// walking its extents: once per stretch, not once per question.
  private let known = Mutex(ByteRange(offset: 0, length: 0))

  /// `range` lies inside the file.
  init(file: DiskFile, range: ByteRange) {
    self.file = file
    startBytes = range.offset
    sizeBytes = range.length
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try file.read(into: buffer, at: startBytes + offset)
  }

  /// Holes are zeros, not absent: a flat extent hides whatever lies below.
  func piece(at offset: Int64) throws(IOError) -> LinkPiece {
    // What lies past the end of a file that was cut short since is lost, not zero.
    guard try file.currentSizeBytes() >= startBytes + sizeBytes else {
      throw IOError(
        .unexpectedEnd, "find data", path: file.path, offsetBytes: startBytes + sizeBytes,
        detail: "the file has become shorter since it was opened")
    }
    let asked = ByteRange(offset: startBytes + offset, length: sizeBytes - offset)
    let last = known.withLock { $0 }
    if last.offset <= asked.offset, let inside = last.intersection(asked) {
      return LinkPiece(kind: .data, length: inside.length)
    }
    guard let found = try file.allocatedRange(atOrAfter: asked.offset)?.intersection(asked) else {
      return LinkPiece(kind: .zero, length: asked.length)
    }
    known.withLock { $0 = found }
    guard found.offset == asked.offset else {
      return LinkPiece(kind: .zero, length: found.offset - asked.offset)
    }
    return LinkPiece(kind: .data, length: found.length)
  }

  /// The filesystem knows the holes of its file.
  func origin(at offset: Int64) -> LinkOrigin {
    LinkOrigin(kind: .file(file, offset: startBytes + offset), length: sizeBytes - offset)
  }

  /// Reading a hole costs less than asking where it ends.
  func pieceToRead(at offset: Int64) -> LinkPiece { LinkPiece(kind: .data, length: sizeBytes - offset) }

  func nextPresent(atOrAfter offset: Int64) -> Int64? { offset < sizeBytes ? max(0, offset) : nil }

  /// Blocks in use, which is what the storage spends on it; what a file with other bytes, or a device, says
  /// of them is not only about this extent.
  func allocatedBytes() throws(IOError) -> Int64 {
    let status = try file.opened().status()
    let isWholeFile = status.isRegularFile && startBytes == 0 && status.sizeBytes == sizeBytes
    return isWholeFile ? min(sizeBytes, status.allocatedBytes) : try countedBytes()
  }
}
