import Glibc

/// Zeroed memory aligned to 4096 bytes, given back with the object.
public final class AlignedBuffer: @unchecked Sendable {
  // SAFETY: the pointer never changes; whoever holds the object alone may write through it. Queues hand
  // buffers from one owner to the next.
  public let bytes: UnsafeMutableRawBufferPointer

  public init(byteCount: Int) {
    let rounded = (max(byteCount, 1) + 4095) & ~4095
    guard let base = aligned_alloc(4096, rounded) else { fatalError("out of memory: \(rounded) bytes") }
    memset(base, 0, rounded)
    bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
  }

  deinit { free(bytes.baseAddress) }

  public var readable: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
}
