import CLinux
import Glibc
import ReplModel

extension PosixFile {
  /// `POSIX_FADV_DONTNEED`: drops clean pages of the page cache; over NFS what the client keeps.
  public func dropCache(_ range: ByteRange) throws(IOError) {
    let code = posix_fadvise(descriptor, Int(range.offset), Int(range.length), POSIX_FADV_DONTNEED)
    guard code == 0 else {
      throw IOError(.system(code), "drop cache", path: path, offsetBytes: range.offset)
    }
  }

  /// `sync_file_range` with `SYNC_FILE_RANGE_WRITE`; a refusal costs time, nothing else.
  public func startWriting(_ range: ByteRange) { repl_start_writing(descriptor, range.offset, range.length) }

  /// `POSIX_FADV_WILLNEED`; a refusal costs time, nothing else.
  public func startReading(_ range: ByteRange) {
    posix_fadvise(descriptor, Int(range.offset), Int(range.length), POSIX_FADV_WILLNEED)
  }
}
