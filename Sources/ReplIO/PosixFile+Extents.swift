import CLinux
import Glibc
import ReplModel

extension PosixFile {
  /// Extents that one question brings: 28 KiB of the kernel's answer.
  private static let extentsPerQuestion = 512

  /// Where the bytes of `range` lie on the storage (`FIEMAP`, after what is dirty was written out). The
  /// answer may end before `range` does. Throws `EOPNOTSUPP` where the filesystem does not tell.
  public func extents(in range: ByteRange) throws(IOError) -> FileExtents {
    if range.isEmpty { return FileExtents([], in: range, isCut: false) }
    let capacity = Self.extentsPerQuestion
    let answer = [FileExtents.Raw]?(unsafeCapacity: capacity) { buffer in
      Int(
        repl_file_extents(
          descriptor, UInt64(range.offset), UInt64(range.length), buffer.baseAddress, UInt32(capacity)))
    }
    guard let answer else { throw .current("map extents", path: path, offsetBytes: range.offset) }
    return FileExtents(answer, in: range, isCut: answer.count == capacity)
  }
}

extension [FileExtents.Raw]? {
  /// Nil when `ask` answers a negative number; it fills as many as it answers.
  fileprivate init(unsafeCapacity capacity: Int, _ ask: (UnsafeMutableBufferPointer<repl_extent>) -> Int) {
    let buffer = UnsafeMutableBufferPointer<repl_extent>.allocate(capacity: capacity)
    defer { buffer.deallocate() }
    let count = ask(buffer)
    guard count >= 0 else {
      self = nil
      return
    }
    self = buffer.prefix(count).map { extent in
      FileExtents.Raw(
        logical: extent.logical, physical: extent.physical, length: extent.length, flags: extent.flags)
    }
  }
}
