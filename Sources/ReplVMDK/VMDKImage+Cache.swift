import ReplIO
import ReplModel

extension VMDKImage {
  /// Drops what the system keeps of every file of the disk when `range` begins with the disk; a stretch in
  /// the middle of it has no place of its own in the files of a chain.
  public func dropCache(_ range: ByteRange) throws(IOError) {
    guard range.offset == 0 else { return }
    for file in files {
      let opened = try file.file
      try opened.dropCache(ByteRange(offset: 0, length: try opened.currentSizeBytes()))
    }
  }
}
