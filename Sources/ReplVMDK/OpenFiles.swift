import ReplIO
import Synchronization

/// The files of an image that are open: at most `Limits.openFiles`, the oldest is closed first.
final class OpenFiles: Sendable {
  private let files: Mutex<BoundedCache<Int, PosixFile>>
  private let lastKey = Atomic<Int>(0)

  init(limit: Int = Limits.openFiles) { files = Mutex(BoundedCache(capacity: limit)) }

  var count: Int { files.withLock { $0.count } }

  /// A key that no other file of the image has.
  func newKey() -> Int { lastKey.add(1, ordering: .relaxed).newValue }

  func file(_ key: Int) -> PosixFile? { files.withLock { $0[key] } }

  /// Closing happens when the last reader of the one that leaves is done.
  func keep(_ file: PosixFile, _ key: Int) { files.withLock { $0.insert(file, for: key) } }
}
