import CLinux
import Glibc
import ReplModel

/// A file of the operating system. Owns its descriptor.
public final class PosixFile: StorageFile {
  public let path: String
  let descriptor: Int32
  private let zeroes: ZeroWriter
  /// For `readSparingCache`.
  let uncached = UncachedReading()

  init(descriptor: Int32, path: String, punchesHoles: Bool = true) {
    self.descriptor = descriptor
    self.path = path
    zeroes = ZeroWriter(punches: punchesHoles)
  }

  deinit { close(descriptor) }

  public var sizeBytes: Int64 {
    // fstat of an open descriptor fails only when the storage is gone; whoever reads then gets that error.
    (try? currentSizeBytes()) ?? 0
  }

  public func currentSizeBytes() throws(IOError) -> Int64 {
    let status = try status()
    guard status.isBlockDevice else { return status.sizeBytes }
    let size = repl_device_size(descriptor)
    guard size >= 0 else { throw .current("query size", path: path) }
    return size
  }

  /// What `fstat` says.
  public func status() throws(IOError) -> FileStatus {
    var raw = repl_file_status()
    guard repl_fstat(descriptor, &raw) == 0 else { throw .current("stat", path: path) }
    return FileStatus(raw)
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, Int(offset) + done)
      if count > 0 {
        done += count
      } else if count == 0 {
        throw IOError(.unexpectedEnd, "read", path: path, offsetBytes: offset + Int64(done))
      } else if errno != EINTR {
        throw .current("read", path: path, offsetBytes: offset + Int64(done))
      }
    }
  }

  public func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    var done = 0
    while done < buffer.count {
      let count = pwrite(descriptor, buffer.baseAddress! + done, buffer.count - done, Int(offset) + done)
      if count >= 0 {
        done += count
      } else if errno != EINTR {
        throw .current("write", path: path, offsetBytes: offset + Int64(done))
      }
    }
  }

  public func writeZeros(_ range: ByteRange) throws(IOError) {
    try zeroes.write(range, to: self)
  }

  public func truncate(to sizeBytes: Int64) throws(IOError) {
    while ftruncate(descriptor, Int(sizeBytes)) != 0 {
      guard errno == EINTR else { throw .current("truncate", path: path, offsetBytes: sizeBytes) }
    }
  }

  /// fdatasync: on Linux it also makes a changed size durable, which is all of the metadata that reading
  /// needs.
  public func sync() throws(IOError) {
    // EINTR is a failure like any other here: a failed sync is never tried again.
    guard fdatasync(descriptor) == 0 else { throw .current("sync", path: path) }
  }

  public func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    let size = try currentSizeBytes()
    guard offset < size else { return nil }
    let start = repl_seek_data(descriptor, offset)
    if start < 0 {
      // ENXIO: no data up to the end. Any other refusal: the file system cannot tell, so all of it may hold
      // data.
      return errno == ENXIO ? nil : ByteRange(offset: offset, length: size - offset)
    }
    let end = repl_seek_hole(descriptor, start)
    return ByteRange(offset: start, length: (end < 0 ? size : end) - start)
  }

  /// Whether anyone holds a byte-range lock (F_OFD_GETLK) in the range; QEMU holds 100-103 and 200-203 while
  /// it runs.
  public func isLocked(_ range: ByteRange) throws(IOError) -> Bool {
    let answer = repl_range_is_locked(descriptor, range.offset, range.length)
    guard answer >= 0 else { throw .current("query lock", path: path) }
    return answer == 1
  }
}

/// What is known of a file without reading it.
public struct FileStatus: Hashable, Sendable {
  public let device: UInt64
  public let inode: UInt64
  public let linkCount: UInt64
  /// Which device a device file stands for; 0 of other files.
  public let deviceNumber: UInt64
  public let sizeBytes: Int64
  public let allocatedBytes: Int64
  /// Nanoseconds since 1970.
  public let modifiedNanoseconds: Int64
  public let changedNanoseconds: Int64
  public let mode: UInt32
  public let owner: UInt32

  init(_ raw: repl_file_status) {
    device = raw.device
    inode = raw.inode
    linkCount = raw.link_count
    deviceNumber = raw.special
    sizeBytes = raw.size_bytes
    allocatedBytes = raw.allocated_bytes
    modifiedNanoseconds = raw.modified_ns
    changedNanoseconds = raw.changed_ns
    mode = raw.mode
    owner = raw.uid
  }

  public var isRegularFile: Bool { mode & S_IFMT == S_IFREG }
  public var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
  public var isBlockDevice: Bool { mode & S_IFMT == S_IFBLK }
  /// Permission bits, such as 0o600.
  public var permissions: UInt32 { mode & 0o7777 }
}
