import ReplIO
import ReplModel

/// A flat extent: a range of a file, byte for byte.
final class FlatExtent: BlockReadable {
  let sizeBytes: Int64
  private let file: PosixFile
  private let startBytes: Int64

  /// `range` lies inside the file.
  init(file: PosixFile, range: ByteRange) {
    self.file = file
    startBytes = range.offset
    sizeBytes = range.length
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try file.read(into: buffer, at: startBytes + offset)
  }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    guard offset < sizeBytes else { return nil }
    // What lies past the end of a file that was cut short since is lost, not zero.
    guard try file.currentSizeBytes() >= startBytes + sizeBytes else {
      throw IOError(
        .unexpectedEnd, "find data", path: file.path, offsetBytes: startBytes + sizeBytes,
        detail: "the file has become shorter since it was opened")
    }
    let extent = ByteRange(offset: startBytes, length: sizeBytes)
    guard let found = try file.allocatedRange(atOrAfter: startBytes + max(0, offset)),
      let inside = found.intersection(extent)
    else {
      return nil
    }
    return ByteRange(offset: inside.offset - startBytes, length: inside.length)
  }
}
