import CLinux
import Glibc
import ReplModel

/// A directory of the operating system. Owns its descriptor.
public final class PosixDirectory: StorageDirectory {
  public let path: String
  let descriptor: Int32
  /// False where the storage was seen not to punch holes rightly: files opened here and beneath write zeros.
  let punchesHoles: Bool

  init(descriptor: Int32, path: String, punchesHoles: Bool = true) {
    self.descriptor = descriptor
    self.path = path
    self.punchesHoles = punchesHoles
  }

  /// Opens a directory by a path from the operator (config, command line); links in it are followed.
  /// `punchesHoles`: see `StorageTraits.punchesHoles`.
  public convenience init(path: String, punchesHoles: Bool = true) throws(IOError) {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .current("open", path: path) }
    self.init(descriptor: descriptor, path: path, punchesHoles: punchesHoles)
  }

  deinit { close(descriptor) }

  /// What `fstat` says of the directory.
  public func status() throws(IOError) -> FileStatus {
    var raw = repl_file_status()
    guard repl_fstat(descriptor, &raw) == 0 else { throw .current("stat", path: path) }
    return FileStatus(raw)
  }

  public func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    try openPosixFile(name, access)
  }

  /// As `openFile`, for callers that need what only the operating system's files have.
  public func openPosixFile(_ name: String, _ access: FileAccess) throws(IOError) -> PosixFile {
    let full = childPath(name)
    if case .read = access { try checkRelativePath(name) } else { try checkName(name) }
    let flags: Int32 =
      switch access {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .createNew: O_RDWR | O_CREAT | O_EXCL
      case .createIfMissing: O_RDWR | O_CREAT
      }
    let opened = repl_openat_beneath(descriptor, name, flags | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw Self.refusal(access, path: full) }
    let file = PosixFile(descriptor: opened, path: full, punchesHoles: punchesHoles)
    let status = try file.status()
    guard status.isRegularFile else { throw IOError(.wrongFileType, "open", path: full) }
    if case .read = access { return file }
    // A second name would let somebody else keep a hand on what we write.
    guard status.linkCount == 1 else {
      throw IOError(
        .wrongFileType, "open", path: full, detail: "it has \(status.linkCount) names (hard links)")
    }
    return file
  }

  /// The error of an open that just failed; reads `errno`. What stands in the place of a plain file that is
  /// to be written is said as that: no waiting makes it one.
  private static func refusal(_ access: FileAccess, path: String) -> IOError {
    if case .read = access { return .current("open", path: path) }
    return switch errno {
    case ELOOP: IOError(.wrongFileType, "open", path: path, detail: "a symbolic link is on the way")
    case EISDIR: IOError(.wrongFileType, "open", path: path, detail: "it is a directory")
    case ENXIO: IOError(.wrongFileType, "open", path: path, detail: "it is a socket or a device")
    default: .current("open", path: path)
    }
  }

  /// Opens a plain file for reading by a name whose bytes are no UTF-8, which Linux allows. May be a relative
  /// path of several components.
  /// - Parameter shown: the name for messages.
  public func openPosixFile(rawName: [UInt8], shown: String) throws(IOError) -> PosixFile {
    let full = childPath(shown)
    guard let first = rawName.first, first != UInt8(ascii: "/"), !rawName.contains(0) else {
      throw IOError(.refusedName, "open", path: full)
    }
    let name = rawName.map { CChar(bitPattern: $0) } + [0]
    let opened = repl_openat_beneath(descriptor, name, O_RDONLY | O_NOFOLLOW, 0)
    guard opened >= 0 else { throw .current("open", path: full) }
    let file = PosixFile(descriptor: opened, path: full)
    guard try file.status().isRegularFile else { throw IOError(.wrongFileType, "open", path: full) }
    return file
  }

  /// A directory right beneath this one; never through a symbolic link.
  public func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    try checkName(name)
    let opened = repl_openat_beneath(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
    guard opened >= 0 else { throw .current("open", path: childPath(name)) }
    return PosixDirectory(descriptor: opened, path: childPath(name), punchesHoles: punchesHoles)
  }

  public func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    try checkName(name)
    if mkdirat(descriptor, name, 0o700) != 0 && errno != EEXIST {
      throw .current("make directory", path: childPath(name))
    }
    return try openDirectory(name)
  }

  /// Whether there is anything of this name, a dangling link included.
  public func contains(_ name: String) throws(IOError) -> Bool {
    try checkName(name)
    if faccessat(descriptor, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 { return true }
    guard errno == ENOENT else { throw .current("look up", path: childPath(name)) }
    return false
  }

  public func entryNames() throws(IOError) -> [String] {
    let duplicate = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard duplicate >= 0, let stream = fdopendir(duplicate) else { throw .current("list", path: path) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        guard errno == 0 else { throw .current("list", path: path) }
        return names.sorted()
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  public func rename(_ from: String, to: String) throws(IOError) {
    try checkName(from)
    try checkName(to)
    guard renameat(descriptor, from, descriptor, to) == 0 else {
      throw .current("rename to \(to)", path: childPath(from))
    }
  }

  public func removeFile(_ name: String) throws(IOError) {
    try checkName(name)
    guard unlinkat(descriptor, name, 0) == 0 else { throw .current("remove", path: childPath(name)) }
  }

  public func sync() throws(IOError) {
    guard fsync(descriptor) == 0 else { throw .current("sync", path: path) }
  }

  public func freeBytes() throws(IOError) -> Int64 {
    var status = statvfs()
    guard fstatvfs(descriptor, &status) == 0 else { throw .current("query free space", path: path) }
    return Self.freeBytes(blocks: UInt64(status.f_bavail), blockBytes: UInt64(status.f_frsize))
  }

  /// A filesystem without a limit says so by the largest number that it can.
  static func freeBytes(blocks: UInt64, blockBytes: UInt64) -> Int64 {
    let (bytes, isOverflow) = blocks.multipliedReportingOverflow(by: blockBytes)
    return isOverflow ? .max : Int64(clamping: bytes)
  }

  public func tryLock(_ name: String) throws(IOError) -> FileLock? {
    let file = try openPosixFile(name, .createIfMissing)
    // flock belongs to the open file, not to the process: it also keeps two threads of one process apart, and
    // it ends with the last descriptor, however the process ends.
    if flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 { return FileLock { _ = file } }
    guard errno == EWOULDBLOCK else { throw .current("lock", path: file.path) }
    return nil
  }

  func childPath(_ name: String) -> String { "\(path)/\(name)" }

  private func checkName(_ name: String) throws(IOError) {
    guard FileName.isPlain(name) else { throw IOError(.refusedName, "open", path: childPath(name)) }
  }

  private func checkRelativePath(_ name: String) throws(IOError) {
    // openat2 keeps the walk beneath the directory; NUL would cut the name short.
    guard !name.isEmpty, !name.hasPrefix("/"), !name.utf8.contains(0) else {
      throw IOError(.refusedName, "open", path: childPath(name))
    }
  }
}

/// Rules for file names.
public enum FileName {
  /// One component: not empty, not `.` or `..`, no slash, no NUL, at most 255 bytes.
  public static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 255
      && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
  }
}
