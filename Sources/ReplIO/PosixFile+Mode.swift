import Glibc

extension PosixFile {
  /// Takes away everybody's right to write, as a warning to people: owners and root can give it back.
  public func makeReadOnly() throws(IOError) {
    let status = try status()
    guard fchmod(descriptor, status.permissions & ~0o222) == 0 else {
      // A filesystem without modes (exFAT) has nothing to take away.
      guard errno == EPERM || errno == EOPNOTSUPP else { throw .current("change mode", path: path) }
      return
    }
  }
}
