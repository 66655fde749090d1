import CLinux
import Glibc
import ReplModel

extension PosixFile {
  /// Nil for a block device, whose node says nothing of what is on it.
  public func generation() throws(IOError) -> FileGeneration? {
    let status = try status()
    guard status.isRegularFile else { return nil }
    return FileGeneration(
      inode: status.inode, sizeBytes: status.sizeBytes, modifiedNanoseconds: status.modifiedNanoseconds)
  }

  public func change(since generation: FileGeneration) throws(IOError) -> String? {
    guard let now = try self.generation() else { return nil }
    return generation.change(to: now, isExact: try keepsExactMarks())
  }

  /// fsync: unlike fdatasync it also makes the time of the last write durable.
  public func syncWithTimes() throws(IOError) {
    // EINTR is a failure like any other here: a failed sync is never tried again.
    guard fsync(descriptor) == 0 else { throw .current("sync", path: path) }
  }

  private func keepsExactMarks() throws(IOError) -> Bool {
    let type = repl_filesystem_type(descriptor)
    guard type >= 0 else { throw .current("query filesystem", path: path) }
    return FileGeneration.exactFilesystems.contains(
      PosixDirectory.filesystemName(magic: UInt32(truncatingIfNeeded: type)))
  }
}
