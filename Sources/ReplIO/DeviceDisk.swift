import ReplModel
import Synchronization

/// A disk at the beginning of a block device that may be larger. What is behind it is never touched, until
/// the disk grows into it.
public final class DeviceDisk: StorageFile {
  /// Smaller ranges are written: discarding costs more.
  private static let punchedBytes: Int64 = 64 << 10
  private static let chunkBytes: Int64 = 1 << 20

  private let device: BlockDevice
  private let size: Mutex<Int64>
  private let punches: Atomic<Bool>

  /// `punches`: whether `BlockDevice.provePunching` said so.
  public init(_ device: BlockDevice, sizeBytes: Int64, punches: Bool) {
    precondition(sizeBytes <= device.sizeBytes, "a disk larger than its device")
    self.device = device
    size = Mutex(sizeBytes)
    self.punches = Atomic(punches)
  }

  public var path: String { device.path }
  public var sizeBytes: Int64 { size.withLock { $0 } }
  /// The device itself, for asking who else uses it.
  public var underlying: any StorageFile { device.file }

  public func currentSizeBytes() throws(IOError) -> Int64 { sizeBytes }

  /// Within the device. What the disk grows into is made zero: it may hold anything.
  public func truncate(to sizeBytes: Int64) throws(IOError) {
    let old = self.sizeBytes
    guard sizeBytes <= device.sizeBytes else {
      throw IOError(
        .limit, "grow", path: path, offsetBytes: sizeBytes, detail: "the device has \(device.sizeBytes) bytes"
      )
    }
    size.withLock { $0 = sizeBytes }
    if sizeBytes > old { try writeZeros(ByteRange(offset: old, length: sizeBytes - old)) }
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try check(offset, buffer.count, "read")
    try device.file.read(into: buffer, at: offset)
  }

  public func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    try check(offset, buffer.count, "write")
    try device.file.write(buffer, at: offset)
  }

  /// Punched where that was proven and is seen to be right each time; written elsewhere.
  public func writeZeros(_ range: ByteRange) throws(IOError) {
    try check(range.offset, Int(clamping: range.length), "write zeros")
    let sector = Int64(device.sectorBytes)
    let start = (range.offset + sector - 1) / sector * sector
    let inner = ByteRange(offset: start, length: max(0, range.end / sector * sector - start))
    guard punches.load(ordering: .relaxed), inner.length >= Self.punchedBytes else { return try fill(range) }
    try device.file.writeZeros(inner)
    guard try readsZero(inner) else {
      punches.store(false, ordering: .relaxed)
      return try fill(range)
    }
    try fill(ByteRange(offset: range.offset, length: inner.offset - range.offset))
    try fill(ByteRange(offset: inner.end, length: range.end - inner.end))
  }

  public func sync() throws(IOError) { try device.file.sync() }

  /// Within the disk: callers ask for whole windows.
  public func forgetCached(_ range: ByteRange) throws(IOError) {
    let disk = ByteRange(offset: 0, length: sizeBytes)
    if let inside = range.intersection(disk) { try device.file.forgetCached(inside) }
  }

  public func startWriting(_ range: ByteRange) { device.file.startWriting(range) }
  public func startReading(_ range: ByteRange) { device.file.startReading(range) }

  public func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    let size = sizeBytes
    guard offset < size, let range = try device.file.allocatedRange(atOrAfter: offset), range.offset < size
    else { return nil }
    return ByteRange(offset: range.offset, length: min(range.end, size) - range.offset)
  }

  /// Looks at both ends.
  private func readsZero(_ range: ByteRange) throws(IOError) -> Bool {
    let buffer = AlignedBuffer(byteCount: device.sectorBytes)
    for offset in [range.offset, range.end - Int64(device.sectorBytes)] {
      try device.file.read(into: buffer.bytes, at: offset)
      guard buffer.readable.allSatisfy({ $0 == 0 }) else { return false }
    }
    return true
  }

  private func fill(_ range: ByteRange) throws(IOError) {
    if range.isEmpty { return }
    let zeros = AlignedBuffer(byteCount: Int(min(Self.chunkBytes, range.length)))
    var offset = range.offset
    while offset < range.end {
      let count = Int(min(Int64(zeros.bytes.count), range.end - offset))
      try device.file.write(UnsafeRawBufferPointer(rebasing: zeros.readable[0..<count]), at: offset)
      offset += Int64(count)
    }
  }

  private func check(_ offset: Int64, _ count: Int, _ operation: String) throws(IOError) {
    let (end, isOverflow) = offset.addingReportingOverflow(Int64(count))
    guard offset >= 0, !isOverflow, end <= sizeBytes else {
      throw IOError(.unexpectedEnd, operation, path: path, offsetBytes: offset)
    }
  }
}
