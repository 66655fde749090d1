import ReplIO
import ReplModel

/// Reads a disk from its first byte to its last, holes included, and answers what it holds: the root of a
/// digest map made anew and the plain SHA-256. Believes no map, no hint and no allocated range; asks the
/// storage to forget what it has cached first.
public final class FullReading {
  /// What a reading found.
  public struct Result: Sendable {
    /// Both nil when the disk could not be read to its end.
    public internal(set) var root: Root?
    public internal(set) var sha256: Hash256?
    /// Why it could not: where, and which error.
    public internal(set) var failure: IOError?
    /// Pages whose digest is not that of the map that was given, and where the first of them begin, in bytes.
    public internal(set) var differingPages: Int64 = 0
    public internal(set) var differingOffsets: [Int64] = []
  }

  /// Read and hashed at once; whole pages of every allowed size.
  static let chunkBytes = 1 << 20
  /// What a reading leaves in memory at most; a chain forgets all of its files each time, so not too often.
  static let keptBytes: Int64 = 64 << 20

  private let disk: any BlockReadable
  private let grid: PageGrid
  private let digester: PageDigester
  private let hasher = SHA256Hasher()
  private let streaming: StreamingRoot
  private let chunk = AlignedBuffer(byteCount: chunkBytes)
  private let leaf = AlignedBuffer(byteCount: DigestTree.leafBytes)
  private let expected = AlignedBuffer(byteCount: DigestTree.leafBytes)
  private let placeLimit: Int
  /// Up to here the system was asked to forget.
  private var forgottenEnd: Int64 = 0

  /// Throws `.crypto` when libcrypto has no Poly1305. At most `placeLimit` differing places are listed.
  public init(
    _ disk: any BlockReadable, grid: PageGrid, key: DigestKey, placeLimit: Int
  ) throws(DigestError) {
    self.disk = disk
    self.grid = grid
    self.placeLimit = placeLimit
    digester = try PageDigester(key: key)
    streaming = StreamingRoot(grid: grid)
  }

  /// Reads all of it, once. `map`, where there is one, tells where the disk is not what it should be; root
  /// and hash do not depend on it, nor does it matter whether it can be read. `goesOn` is asked for every
  /// chunk of at most 1 MiB that was read: nil is answered when it says no.
  public func run(comparing map: (any DigestView)?, goesOn: (Int) -> Bool) throws(DigestError) -> Result? {
    var result = Result()
    // A cache that cannot be dropped is no failure of the disk.
    try? disk.forgetCached(ByteRange(offset: 0, length: grid.sizeBytes))
    for index in 0..<grid.leafCount {
      let digests = leaf.bytes.bindMemory(to: PageDigest.self)
      digests.update(repeating: .zero)
      do throws(IOError) {
        guard try read(leaf: index, into: digests, goesOn: goesOn) else { return nil }
      } catch {
        // Not digests: those of this leaf are not complete.
        result.failure = error
        return result
      }
      streaming.append(leaf: leaf.readable)
      if let map { compare(index, digests, map, &result) }
    }
    result.root = streaming.finish()
    result.sha256 = hasher.finalize()
    return result
  }

  private func read(
    leaf index: Int64, into digests: UnsafeMutableBufferPointer<PageDigest>, goesOn: (Int) -> Bool
  ) throws(IOError) -> Bool {
    let pages = grid.pages(ofLeaf: index)
    let pagesAtOnce = Int64(Self.chunkBytes / grid.pageSizeBytes)
    var page = pages.lowerBound
    while page < pages.upperBound {
      let end = min(page + pagesAtOnce, pages.upperBound)
      let range = grid.bytes(of: page..<end)
      let buffer = UnsafeMutableRawBufferPointer(rebasing: chunk.bytes[..<Int(range.length)])
      try readExactly(buffer, at: range.offset)
      hasher.update(UnsafeRawBufferPointer(buffer))
      let first = Int(page - pages.lowerBound)
      do throws(DigestError) {
        try digester.digest(
          pages: UnsafeRawBufferPointer(buffer), pageSizeBytes: grid.pageSizeBytes,
          into: UnsafeMutableBufferPointer(rebasing: digests[first..<(first + Int(end - page))]))
      } catch { preconditionFailure("Poly1305 has worked a moment ago: \(error)") }
      forget(upTo: range.end)
      guard goesOn(buffer.count) else { return false }
      page = end
    }
    return true
  }

  /// Behind us nobody reads again: a large disk must not push everything else out of memory.
  private func forget(upTo end: Int64) {
    guard end - forgottenEnd >= Self.keptBytes || end == grid.sizeBytes else { return }
    // A cache that cannot be dropped is no failure of the disk.
    try? disk.forgetCached(ByteRange(offset: forgottenEnd, length: end - forgottenEnd))
    forgottenEnd = end
  }

  /// One page at a time after a failure, so that the first byte that cannot be read has a name.
  private func readExactly(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    do throws(IOError) {
      try disk.read(into: buffer, at: offset)
    } catch {
      for start in stride(from: 0, to: buffer.count, by: 4096) {
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<min(start + 4096, buffer.count)])
        let position = offset + Int64(start)
        do throws(IOError) { try disk.read(into: part, at: position) } catch {
          throw IOError(
            error.kind, error.operation, path: error.path, offsetBytes: position, detail: error.detail)
        }
      }
    }
  }

  private func compare(
    _ index: Int64, _ found: UnsafeMutableBufferPointer<PageDigest>, _ map: any DigestView,
    _ result: inout Result
  ) {
    let digests = expected.bytes.bindMemory(to: PageDigest.self)
    // It only tells where to look: what cannot be read of it tells nothing.
    guard (try? map.readLeaf(index, into: digests)) != nil else { return }
    for (slot, page) in grid.pages(ofLeaf: index).enumerated() where found[slot] != digests[slot] {
      result.differingPages += 1
      guard result.differingOffsets.count < placeLimit else { continue }
      result.differingOffsets.append(page * Int64(grid.pageSizeBytes))
    }
  }
}
