import CLinux
import Glibc

extension PosixFile {
  /// Opens a block device for reading, by a path from the operator (config); links in it are followed, as
  /// the names beneath `/dev/mapper` and `/dev/disk` are links.
  public static func blockDevice(path: String) throws(IOError) -> PosixFile {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .current("open", path: path) }
    let file = PosixFile(descriptor: descriptor, path: path)
    guard try file.status().isBlockDevice else {
      throw IOError(.wrongFileType, "open", path: path, detail: "a block device is expected")
    }
    return file
  }

  /// Makes this file, empty and on the same file system, share all blocks of `source` (FICLONE): a copy that
  /// takes no space and no time. Fails with `EOPNOTSUPP`, `EXDEV` or `EINVAL` where the storage cannot do it.
  public func clone(from source: PosixFile) throws(IOError) {
    guard repl_clone_file(descriptor, source.descriptor) == 0 else {
      throw .current("clone \(source.path)", path: path)
    }
  }
}
