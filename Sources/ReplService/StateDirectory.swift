import Glibc
import ReplIO
import ReplModel

/// The directory in which a daemon keeps its keys and maps: mode 0700, ours, and used by one process at a
/// time.
public struct StateDirectory: Sendable {
  private static let lockName = "lock"

  public let directory: PosixDirectory

  /// Makes the directory with everything above it where it is missing, and refuses one that others can enter.
  /// Root becomes the owner of the directory, so that what is made in it and in the stores belongs to the
  /// daemon's user.
  public static func open(path: String) throws(StateDirectoryError) -> StateDirectory {
    let directory: PosixDirectory
    let status: FileStatus
    do throws(IOError) {
      directory = try make(path)
      status = try directory.status()
    } catch { throw .io(error) }
    guard status.permissions & 0o077 == 0 else { throw .tooWide(path: path, mode: status.permissions) }
    if geteuid() == 0, status.owner != 0 { try becomeOwner(status.owner, of: path) }
    guard status.owner == geteuid() || status.owner == 0 else {
      throw .foreignOwner(path: path, owner: status.owner)
    }
    return StateDirectory(directory: directory)
  }

  /// An administrator's command as root would leave files that the daemon cannot read: it goes on as the
  /// daemon's user, for good.
  private static func becomeOwner(_ owner: UInt32, of path: String) throws(StateDirectoryError) {
    guard let entry = getpwuid(owner) else { throw .foreignOwner(path: path, owner: owner) }
    let isDone =
      initgroups(entry.pointee.pw_name, entry.pointee.pw_gid) == 0
      && setgid(entry.pointee.pw_gid) == 0 && setuid(owner) == 0
    guard isDone, geteuid() == owner else { throw .io(.current("become user \(owner)", path: path)) }
  }

  private static func make(_ path: String) throws(IOError) -> PosixDirectory {
    // From the command line it may be relative to the working directory.
    var current = path.hasPrefix("/") ? "" : try workingDirectory()
    for component in path.split(separator: "/") {
      current += "/\(component)"
      if mkdir(current, 0o700) != 0 && errno != EEXIST { throw .current("make directory", path: current) }
    }
    return try PosixDirectory(path: current)
  }

  private static func workingDirectory() throws(IOError) -> String {
    var buffer = [CChar](repeating: 0, count: ServiceLimits.pathBytes)
    guard getcwd(&buffer, buffer.count) != nil else { throw .current("find", path: "the working directory") }
    let path = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return path == "/" ? "" : path
  }

  /// Keeps every other process out for as long as the lock lives.
  public func lock() throws(StateDirectoryError) -> FileLock {
    do throws(IOError) {
      if let lock = try directory.tryLock(Self.lockName) {
        try directory.replaceFile("pid", with: Array("\(getpid())\n".utf8))
        return lock
      }
      throw IOError(.system(EWOULDBLOCK), "lock", path: directory.path, detail: try holder())
    } catch {
      guard error.systemCode == EWOULDBLOCK else { throw .io(error) }
      throw .inUse(path: directory.path, processID: error.detail ?? "?")
    }
  }
}

extension StateDirectory {
  /// Who has the lock, as it wrote down; `?` in the moment before it did.
  private func holder() throws(IOError) -> String {
    guard try directory.contains("pid") else { return "?" }
    let digits = String(decoding: try directory.readFile("pid", limitBytes: 64), as: UTF8.self)
      .filter(\.isNumber)
    return digits.isEmpty ? "?" : digits
  }
}

/// Why a state directory cannot be used.
public enum StateDirectoryError: ActionableError, Hashable {
  case tooWide(path: String, mode: UInt32)
  case foreignOwner(path: String, owner: UInt32)
  case inUse(path: String, processID: String)
  case io(IOError)

  public var remedy: Remedy { .stopVM }

  /// With what the program ends.
  public var exitCode: ExitCode {
    switch self {
    case .tooWide, .foreignOwner: .config
    case .inUse: .temporary
    case .io: .inputOutput
    }
  }

  public var description: String {
    switch self {
    case .tooWide(let path, let mode):
      "\(path): its mode is \(String(mode, radix: 8)), others could read keys: run chmod 700 \(path)"
    case .foreignOwner(let path, let owner):
      "\(path): it belongs to user \(owner), not to the user of this process: run chown on it or use "
        + "another state_dir"
    case .inUse(let path, let pid):
      "\(path): process \(pid) uses it: stop that one first (one daemon or one `run --once` at a time)"
    case .io(let error): "\(error)"
    }
  }
}
