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
}
