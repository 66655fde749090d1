import Glibc

/// Zeroed memory aligned to 4096 bytes, given back with the object.
///
/// Large buffers come from the kernel, page by page as they are touched, and go back to it: a session has
/// several of 1 MiB and, when little changed, uses some KiB of them.
public final class AlignedBuffer: @unchecked Sendable {
  // SAFETY: the pointer never changes; whoever holds the object alone may write through it. Queues hand
  // buffers from one owner to the next.
  public let bytes: UnsafeMutableRawBufferPointer

  /// From here on a mapping of its own is cheaper than zeroing memory of the heap.
  private static let mappedByteCount = 128 << 10
  private let mappedLength: Int?

  /// Memory that the kernel may give as pages of 2 MiB: a device that writes into it directly is told of two
  /// places a MiB instead of 256. Takes whole such pages as it is touched.
  public init(hugePagesFor byteCount: Int) {
    let page = 2 << 20
    let rounded = (max(byteCount, 1) + page - 1) & ~(page - 1)
    // One more, to begin at a multiple; what lies around is never touched and given back at once.
    let all = mmap(nil, rounded + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let all, all != MAP_FAILED else { fatalError("out of memory: \(rounded) bytes") }
    let before = -Int(bitPattern: all) & (page - 1)
    if before > 0 { munmap(all, before) }
    munmap(all + before + rounded, page - before)
    // A wish: without it pages of 4 KiB do as well.
    madvise(all + before, rounded, MADV_HUGEPAGE)
    Self.keepFromChildren(all + before, rounded)
    mappedLength = rounded
    bytes = UnsafeMutableRawBufferPointer(start: all + before, count: byteCount)
  }

  public init(byteCount: Int) {
    let rounded = (max(byteCount, 1) + 4095) & ~4095
    let isMapped = rounded >= Self.mappedByteCount
    let base =
      isMapped
      ? mmap(nil, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      : aligned_alloc(4096, rounded)
    guard let base, base != MAP_FAILED else { fatalError("out of memory: \(rounded) bytes") }
    if isMapped { Self.keepFromChildren(base, rounded) } else { memset(base, 0, rounded) }
    mappedLength = isMapped ? rounded : nil
    bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
  }

  /// A device may be writing into it directly while a hook is started: after a fork one of the two processes
  /// would have another page, and the bytes would come to the wrong one.
  private static func keepFromChildren(_ base: UnsafeMutableRawPointer, _ byteCount: Int) {
    madvise(base, byteCount, MADV_DONTFORK)
  }

  deinit {
    if let mappedLength { munmap(bytes.baseAddress!, mappedLength) } else { free(bytes.baseAddress) }
  }

  public var readable: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
}
