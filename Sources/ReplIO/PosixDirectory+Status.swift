import CLinux
import Glibc

extension PosixDirectory {
  /// What `fstat` says of an entry, file or directory; nil when there is none. May be a relative path of
  /// several components; never through a symbolic link.
  public func status(of name: String) throws(IOError) -> FileStatus? {
    guard !name.isEmpty, !name.hasPrefix("/"), !name.utf8.contains(0) else {
      throw IOError(.refusedName, "look up", path: childPath(name))
    }
    let opened = repl_openat_beneath(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
    guard opened >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw .current("look up", path: childPath(name))
    }
    defer { close(opened) }
    var raw = repl_file_status()
    guard repl_fstat(opened, &raw) == 0 else { throw .current("stat", path: childPath(name)) }
    return FileStatus(raw)
  }
}
