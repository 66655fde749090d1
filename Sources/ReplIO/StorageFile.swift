import ReplModel

/// An open file. All operations are positioned; safe to use from several threads at once.
public protocol StorageFile: BlockWritable {
  /// For messages.
  var path: String { get }

  /// The file's size as it is now, bytes.
  func currentSizeBytes() throws(IOError) -> Int64

  /// Cuts or extends (with zeros). Durable only after `sync`.
  func truncate(to sizeBytes: Int64) throws(IOError)

  /// What tells this file as it is now from one that somebody wrote or replaced; nil where the storage
  /// cannot tell.
  func generation() throws(IOError) -> FileGeneration?

  /// What somebody did to the file since it was left as `generation`, in words; nil when nothing is to be
  /// seen. Lenient where the storage gives files other numbers or coarse times (see `FileGeneration`).
  func change(since generation: FileGeneration) throws(IOError) -> String?

  /// As `sync`, and the file's times are on stable storage as well.
  func syncWithTimes() throws(IOError)

  /// Lets the storage begin to write what was written to `range`, without waiting for it, so that the next
  /// sync has less to wait for. Nothing is durable before that sync, which also tells what failed.
  func startWriting(_ range: ByteRange)

  /// Lets the storage begin to read `range`, without waiting for it: a read of it is to follow soon.
  func startReading(_ range: ByteRange)
}

/// For storage of another kind than the operating system's.
extension StorageFile {
  public func generation() throws(IOError) -> FileGeneration? { nil }
  public func change(since generation: FileGeneration) throws(IOError) -> String? { nil }
  public func syncWithTimes() throws(IOError) { try sync() }
  public func startWriting(_ range: ByteRange) {}
  public func startReading(_ range: ByteRange) {}
}

/// How a file is opened.
public enum FileAccess: Sendable {
  /// It must exist; reading only.
  case read
  /// It must exist.
  case readWrite
  /// It must not exist; reading and writing, mode 0600.
  case createNew
  /// Made when missing; reading and writing, mode 0600.
  case createIfMissing
}

/// An open directory: the anchor of every path. A name is one component unless said otherwise; it never
/// leaves the directory and never goes through a symbolic link.
///
/// Everything durable goes through this protocol and `StorageFile`, so that tests can put a disk underneath
/// that loses, tears or reorders whatever was not synced.
public protocol StorageDirectory: AnyObject, Sendable {
  /// For messages.
  var path: String { get }

  /// Opens a plain file with one link. For `.read` the name may be a relative path of several components.
  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile

  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory

  /// Makes a directory (mode 0700) unless it is there. Durable after `sync`.
  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory

  func contains(_ name: String) throws(IOError) -> Bool

  /// Sorted, without `.` and `..`.
  func entryNames() throws(IOError) -> [String]

  /// Replaces `to` if it is there. Durable after `sync`.
  func rename(_ from: String, to: String) throws(IOError)

  /// Durable after `sync`.
  func removeFile(_ name: String) throws(IOError)

  /// Returns when every entry made, renamed or removed before is on stable storage.
  func sync() throws(IOError)

  /// Bytes that an unprivileged writer could still use.
  func freeBytes() throws(IOError) -> Int64

  /// Takes an exclusive lock on the file `name` (made when missing), or answers nil when somebody else holds
  /// it. The lock ends with the object or the process, whatever ends it.
  func tryLock(_ name: String) throws(IOError) -> FileLock?
}

/// Holds a lock for as long as it lives.
public final class FileLock: Sendable {
  private let release: @Sendable () -> Void

  public init(release: @escaping @Sendable () -> Void) { self.release = release }

  deinit { release() }
}
