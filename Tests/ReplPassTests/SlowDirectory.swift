import Glibc
import ReplIO
import ReplModel

/// A directory whose files take their time for every write and every sync, as slow storage does.
final class SlowDirectory: StorageDirectory {
  private let base: any StorageDirectory
  private let microsecondsPerWrite: UInt32
  var path: String { base.path }

  init(_ base: any StorageDirectory, microsecondsPerWrite: UInt32) {
    (self.base, self.microsecondsPerWrite) = (base, microsecondsPerWrite)
  }

  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    SlowFile(try base.openFile(name, access), microseconds: microsecondsPerWrite)
  }

  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    SlowDirectory(try base.openDirectory(name), microsecondsPerWrite: microsecondsPerWrite)
  }

  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    SlowDirectory(try base.createDirectory(name), microsecondsPerWrite: microsecondsPerWrite)
  }

  func contains(_ name: String) throws(IOError) -> Bool { try base.contains(name) }
  func entryNames() throws(IOError) -> [String] { try base.entryNames() }
  func rename(_ from: String, to: String) throws(IOError) { try base.rename(from, to: to) }
  func removeFile(_ name: String) throws(IOError) { try base.removeFile(name) }
  func sync() throws(IOError) { try base.sync() }
  func freeBytes() throws(IOError) -> Int64 { try base.freeBytes() }
  func tryLock(_ name: String) throws(IOError) -> FileLock? { try base.tryLock(name) }
}

private final class SlowFile: StorageFile {
  private let base: any StorageFile
  private let microseconds: UInt32
  var path: String { base.path }
  var sizeBytes: Int64 { base.sizeBytes }

  init(_ base: any StorageFile, microseconds: UInt32) {
    (self.base, self.microseconds) = (base, microseconds)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try base.read(into: buffer, at: offset)
  }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try base.allocatedRange(atOrAfter: offset)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    // By size: whoever writes larger pieces is not quicker on storage that is slow.
    usleep(microseconds * UInt32(max(1, buffer.count >> 16)))
    try base.write(buffer, at: offset)
  }

  func writeZeros(_ range: ByteRange) throws(IOError) { try base.writeZeros(range) }

  func sync() throws(IOError) { try base.sync() }

  func currentSizeBytes() throws(IOError) -> Int64 { try base.currentSizeBytes() }
  func truncate(to sizeBytes: Int64) throws(IOError) { try base.truncate(to: sizeBytes) }
  func generation() throws(IOError) -> FileGeneration? { try base.generation() }
  func change(since generation: FileGeneration) throws(IOError) -> String? {
    try base.change(since: generation)
  }
  func syncWithTimes() throws(IOError) { try base.syncWithTimes() }
  func forgetCached(_ range: ByteRange) throws(IOError) { try base.forgetCached(range) }
}
