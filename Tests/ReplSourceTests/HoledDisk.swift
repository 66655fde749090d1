import ReplIO
import ReplModel
import Synchronization

/// A disk of nines in some ranges and nothing elsewhere, which counts what is read of it.
final class HoledDisk: BlockReadable {
  let sizeBytes: Int64
  private let ranges: [ByteRange]
  private let counted = Mutex<Int64>(0)

  init(sizeBytes: Int64, ranges: [ByteRange]) {
    self.sizeBytes = sizeBytes
    self.ranges = ranges
  }

  var readBytes: Int64 { counted.withLock { $0 } }

  func holds(_ offset: Int64) -> Bool { ranges.contains { $0.offset <= offset && offset < $0.end } }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    counted.withLock { $0 += Int64(buffer.count) }
    for index in buffer.indices { buffer[index] = holds(offset + Int64(index)) ? 9 : 0 }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    guard let range = ranges.first(where: { $0.end > offset }) else { return nil }
    let start = max(range.offset, offset)
    return ByteRange(offset: start, length: range.end - start)
  }
}
