import Glibc
import ReplIO
import ReplModel

/// Who may touch an identity: its owner, nobody else.
enum FileOwnership {
  static func check(_ directory: PosixDirectory) throws(TLSError) {
    let status = try TLSError.onStorage { () throws(IOError) in try directory.status() }
    try check(status, path: directory.path, expectedMode: 0o700)
  }

  static func checkKey(_ file: PosixFile) throws(TLSError) {
    let status = try TLSError.onStorage { () throws(IOError) in try file.status() }
    try check(status, path: file.path, expectedMode: 0o600)
  }

  private static func check(
    _ status: FileStatus, path: String, expectedMode: UInt32
  ) throws(TLSError) {
    if let error = problem(
      mode: status.permissions, owner: status.owner, user: geteuid(), path: path, expectedMode: expectedMode)
    {
      throw error
    }
  }

  /// Apart from the file system, so that a test need not be root to see another owner.
  static func problem(
    mode: UInt32, owner: UInt32, user: UInt32, path: String, expectedMode: UInt32
  ) -> TLSError? {
    guard owner == user || owner == 0 else {
      return TLSError(
        .identityUnsafe,
        "\(path): owned by user \(owner), expected user \(user) or root: run: chown \(user) \(path)")
    }
    guard mode & ~expectedMode == 0 else {
      return TLSError(
        .identityUnsafe,
        "\(path): has mode \(octal(mode)), expected \(octal(expectedMode)) or narrower: "
          + "run: chmod \(octal(expectedMode)) \(path)")
    }
    return nil
  }

  private static func octal(_ mode: UInt32) -> String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
  }
}
