import CLinux
import Glibc
import ReplModel

/// A block device of this machine, open.
public struct BlockDevice: Sendable {
  /// Reads and writes go through the system's cache: any offset and length.
  public let file: any StorageFile
  public let sizeBytes: Int64
  /// Of a logical sector: 512 or 4096.
  public let sectorBytes: Int
  /// Which device it is, whatever the path; of this boot of the machine only.
  public let number: UInt64

  public init(file: any StorageFile, sizeBytes: Int64, sectorBytes: Int, number: UInt64) {
    self.file = file
    self.sizeBytes = sizeBytes
    self.sectorBytes = sectorBytes
    self.number = number
  }

  public var path: String { file.path }

  /// Opens a device by a path from the operator. `isWritable`: for reading and writing, and
  /// exclusively: fails with EBUSY while it is mounted, part of a volume group or RAID, or opened like this
  /// by anybody else.
  public static func open(_ path: String, isWritable: Bool) throws(IOError) -> BlockDevice {
    let flags = isWritable ? O_RDWR | O_EXCL : O_RDONLY
    let descriptor = Glibc.open(path, flags | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      guard errno == EBUSY else { throw .current("open", path: path) }
      throw IOError(
        .system(EBUSY), "open", path: path,
        detail: "it is mounted, or another program has taken it for itself")
    }
    let file = PosixFile(descriptor: descriptor, path: path)
    let status = try file.status()
    guard status.isBlockDevice else {
      throw IOError(.wrongFileType, "open", path: path, detail: "a block device is expected")
    }
    let sector = repl_device_sector_bytes(descriptor)
    guard sector > 0 else { throw .current("query sector size", path: path) }
    guard !isWritable || repl_device_is_read_only(descriptor) == 0 else {
      throw IOError(.system(EROFS), "open", path: path, detail: "the device is set to read-only")
    }
    return BlockDevice(
      file: file, sizeBytes: try file.currentSizeBytes(), sectorBytes: Int(sector),
      number: status.deviceNumber)
  }

  /// Whether punching makes a range read as zero, tried within `range`, which reads as zero afterwards: what
  /// it held is lost. A multiple of 4096 at both ends.
  public func provePunching(in range: ByteRange) throws(IOError) -> Bool {
    let buffer = AlignedBuffer(byteCount: Int(range.length))
    buffer.bytes.initializeMemory(as: UInt8.self, repeating: 0x5A)
    try file.write(buffer.readable, at: range.offset)
    // Else only the cache would be punched.
    try file.sync()
    try file.writeZeros(range)
    try file.sync()
    try file.forgetCached(range)
    try file.read(into: buffer.bytes, at: range.offset)
    if buffer.readable.allSatisfy({ $0 == 0 }) { return true }
    buffer.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    try file.write(buffer.readable, at: range.offset)
    try file.sync()
    return false
  }
}
