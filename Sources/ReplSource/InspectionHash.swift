import ReplDigest
import ReplIO
import ReplModel

/// SHA-256 of everything that a guest could read from a disk. What is not allocated is hashed as zeros and
/// never read.
struct InspectionHash {
  /// Large enough that calls cost nothing, small enough for every cache.
  private static let chunkBytes = 1 << 20

  let disk: any BlockReadable
  /// After every chunk, with the bytes that are done.
  let progress: (Int64) -> Void

  func sha256() throws(IOError) -> Hash256 {
    let hasher = SHA256Hasher()
    let buffer = AlignedBuffer(byteCount: Self.chunkBytes)
    let zeros = [UInt8](repeating: 0, count: Self.chunkBytes)
    var position: Int64 = 0
    while position < disk.sizeBytes {
      let next = try disk.allocatedRange(atOrAfter: position)
      precondition(next.map { $0.length > 0 } ?? true, "an allocated range is empty")
      let start = min(max(next?.offset ?? disk.sizeBytes, position), disk.sizeBytes)
      while position < start {
        let count = Int(min(start - position, Int64(Self.chunkBytes)))
        zeros.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        advance(&position, count)
      }
      let end = min(next.map { $0.offset + $0.length } ?? position, disk.sizeBytes)
      while position < end {
        let count = Int(min(end - position, Int64(Self.chunkBytes)))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count])
        try disk.read(into: part, at: position)
        hasher.update(UnsafeRawBufferPointer(part))
        advance(&position, count)
      }
    }
    return hasher.finalize()
  }

  private func advance(_ position: inout Int64, _ count: Int) {
    position += Int64(count)
    progress(position)
  }
}
