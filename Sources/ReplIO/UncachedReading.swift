import CLinux
import Glibc
import Synchronization

extension PosixFile {
  /// As `read`, for a large file of which much is read once: what the page cache holds comes from there, and
  /// what it does not hold is read past it (O_DIRECT), which takes no memory from others and half the time.
  /// Only large reads of whole blocks into whole pages go past the cache; the file system, too, may refuse.
  public func readSparingCache(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(IOError) {
    guard UncachedReading.fits(buffer, at: offset),
      let direct = uncached.descriptor(descriptor, for: offset..<(offset + Int64(buffer.count)))
    else { return try read(into: buffer, at: offset) }
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      // A short answer, such as at the end of the file, may leave less than whole blocks.
      guard UncachedReading.fits(rest, at: offset + Int64(done)) else {
        return try read(into: rest, at: offset + Int64(done))
      }
      let count = pread(direct, rest.baseAddress, rest.count, Int(offset) + done)
      if count > 0 {
        done += count
      } else if count == 0 || errno == EINVAL {
        // Nothing but the end of the file, or blocks larger than ours: the other way to read tells which.
        if count < 0 { uncached.refuse() }
        return try read(into: rest, at: offset + Int64(done))
      } else if errno != EINTR {
        throw .current("read", path: path, offsetBytes: offset + Int64(done))
      }
    }
  }
}

/// What reading past the page cache needs to know of one file. Its descriptors are opened when they are
/// needed first, and closed with the object.
final class UncachedReading: Sendable {
  /// Blocks of storage and pages of memory; larger blocks are refused by the read, which is heeded.
  private static let blockBytes = 4096
  /// Smaller reads are those of tables, which are wanted again.
  private static let leastBytes = 64 << 10
  /// Where the kernel does not count what it caches, so many pages are looked at.
  private static let probeCount = 3

  private enum Descriptor {
    case untried
    case open(Int32)
    case refused
  }

  private struct State {
    /// A read past the cache was refused; the descriptor stays open, other threads may be reading from it.
    var isRefused = false
    var direct = Descriptor.untried
    var probe = Descriptor.untried
    var countsCache: Bool
  }

  private let state: Mutex<State>

  /// `countsCache` is false where the kernel is known not to say how much of a range it caches.
  init(countsCache: Bool = true) { state = Mutex(State(countsCache: countsCache)) }

  deinit {
    state.withLock { state in
      for case .open(let descriptor) in [state.direct, state.probe] { close(descriptor) }
    }
  }

  static func fits(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int64) -> Bool {
    buffer.count >= leastBytes && buffer.count % blockBytes == 0 && offset % Int64(blockBytes) == 0
      && Int(bitPattern: buffer.baseAddress) % blockBytes == 0
  }

  /// The one to read `range` past the cache with; nil where that is not possible, or much of it is cached.
  func descriptor(_ file: Int32, for range: Range<Int64>) -> Int32? {
    state.withLock { state in
      guard !state.isRefused, Self.isMostlyAbsent(range, of: file, &state) else { return nil }
      return Self.opened(&state.direct, file, repl_reopen_direct)
    }
  }

  /// The file system has refused a read.
  func refuse() { state.withLock { $0.isRefused = true } }

  private static func opened(
    _ descriptor: inout Descriptor, _ file: Int32, _ open: (Int32) -> Int32
  ) -> Int32? {
    if case .untried = descriptor {
      let number = open(file)
      descriptor = number >= 0 ? .open(number) : .refused
    }
    guard case .open(let number) = descriptor else { return nil }
    return number
  }

  private static func isMostlyAbsent(_ range: Range<Int64>, of file: Int32, _ state: inout State) -> Bool {
    if state.countsCache {
      let cached = repl_cached_bytes(file, range.lowerBound, Int64(range.count))
      if cached >= 0 { return cached * 2 < Int64(range.count) }
      // An older kernel, or a file that is not ours to write.
      state.countsCache = false
    }
    guard let probe = opened(&state.probe, file, repl_reopen_random) else { return false }
    // At other places each time: looking at a page that is absent may bring it in.
    for _ in 0..<probeCount {
      switch repl_is_cached(probe, Int64.random(in: range)) {
      case 0: return true
      case 1: continue
      default: return false
      }
    }
    return false
  }
}
