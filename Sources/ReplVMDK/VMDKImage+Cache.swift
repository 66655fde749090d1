import ReplIO
import ReplModel

extension VMDKImage {
  /// Forgets all of every file of the disk, whatever the range: a stretch of the disk has no place of its own
  /// in the files of a chain.
  public func forgetCached(_ range: ByteRange) throws(IOError) {
    if range.isEmpty { return }
    for file in files {
      let opened = try file.file
      try opened.forgetCached(ByteRange(offset: 0, length: try opened.currentSizeBytes()))
    }
  }
}
