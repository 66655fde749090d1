import CLinux
import Glibc
import ReplModel

extension PosixFile {
  /// `POSIX_FADV_DONTNEED`: drops clean pages of the page cache; over NFS what the client keeps.
  public func forgetCached(_ range: ByteRange) throws(IOError) {
    // To the system a length of 0 means all of it.
    if range.isEmpty { return }
    let code = repl_forget_cached(descriptor, range.offset, range.length)
    guard code == 0 else {
      throw IOError(.system(code), "drop the cache", path: path, offsetBytes: range.offset)
    }
  }

  /// `sync_file_range` with `SYNC_FILE_RANGE_WRITE`; a refusal costs time, nothing else.
  public func startWriting(_ range: ByteRange) { repl_start_writing(descriptor, range.offset, range.length) }

  /// `POSIX_FADV_WILLNEED`; a refusal costs time, nothing else.
  public func startReading(_ range: ByteRange) {
    posix_fadvise(descriptor, Int(range.offset), Int(range.length), POSIX_FADV_WILLNEED)
  }
}
