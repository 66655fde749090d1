import Glibc
import ReplIO
import ReplModel
import Synchronization

/// A file that never touches a disk.
final class MemoryFile: StorageFile {
  let path: String
  private let bytes: [UInt8]
  /// Reading what begins in this range fails, as a broken disk does.
  private let unreadable: Range<Int64>

  init(_ bytes: [UInt8], path: String = "memory.vmdk", unreadable: Range<Int64> = 0..<0) {
    self.bytes = bytes
    self.path = path
    self.unreadable = unreadable
  }

  var sizeBytes: Int64 { Int64(bytes.count) }

  func currentSizeBytes() throws(IOError) -> Int64 { Int64(bytes.count) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    if unreadable.contains(offset) { throw IOError(.system(EIO), "read", path: path, offsetBytes: offset) }
    guard offset >= 0, Int64(buffer.count) <= Int64(bytes.count) - offset else {
      throw IOError(.unexpectedEnd, "read", path: path, offsetBytes: offset)
    }
    bytes.withUnsafeBytes { all in
      buffer.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: all[Int(offset)..<(Int(offset) + buffer.count)]))
    }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    offset < sizeBytes ? ByteRange(offset: offset, length: sizeBytes - offset) : nil
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    throw IOError(.system(EROFS), "write", path: path)
  }

  func writeZeros(_ range: ByteRange) throws(IOError) { throw IOError(.system(EROFS), "write", path: path) }

  func truncate(to sizeBytes: Int64) throws(IOError) { throw IOError(.system(EROFS), "cut", path: path) }

  func sync() throws(IOError) {}
}

/// Counts how often a file is read.
final class CountingFile: StorageFile {
  private let file: MemoryFile
  private let count = Atomic<Int>(0)

  init(_ file: MemoryFile) { self.file = file }

  var reads: Int { count.load(ordering: .relaxed) }
  var path: String { file.path }
  var sizeBytes: Int64 { file.sizeBytes }

  func currentSizeBytes() throws(IOError) -> Int64 { try file.currentSizeBytes() }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    count.add(1, ordering: .relaxed)
    try file.read(into: buffer, at: offset)
  }

  func forgetCached(_ range: ByteRange) throws(IOError) { try file.forgetCached(range) }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try file.allocatedRange(atOrAfter: offset)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    try file.write(buffer, at: offset)
  }

  func writeZeros(_ range: ByteRange) throws(IOError) { try file.writeZeros(range) }

  func truncate(to sizeBytes: Int64) throws(IOError) { try file.truncate(to: sizeBytes) }

  func sync() throws(IOError) {}
}
