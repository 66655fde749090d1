import ReplDigest
import ReplIO
import ReplModel
import Synchronization

/// Hands the leaves of a scan to its readers in order, and leaves out those where nothing can be: no
/// allocated byte of the disk, no digest in what the receiver holds and none in the base. What a pass costs
/// follows from what a disk holds, not from how large it is; the holes that hold the storage to account are
/// as many on every disk.
final class LeafCursor: Sendable {
  /// A leaf in a reader's hands.
  struct Leaf {
    /// Counted across all disks, as the tracker does.
    let number: Int64
    let diskIndex: Int
    let index: Int64
    let token: ResumeTracker.Token
  }

  private let tracker: ResumeTracker
  /// Readers wait here for each other while one of them asks the file systems.
  private let disks: Mutex<[ContentOfDisk]>

  init(disks: [ScanDisk], tracker: ResumeTracker) {
    self.tracker = tracker
    self.disks = Mutex(disks.map(ContentOfDisk.init))
  }

  /// The next leaf that needs a look; nil at the end of the last disk.
  func next() throws(SourceError) -> Leaf? {
    let outcome = disks.withLock { disks in
      Result { () throws(SourceError) in try Self.next(&disks, tracker) }
    }
    return try outcome.get()
  }

  private static func next(
    _ disks: inout [ContentOfDisk], _ tracker: ResumeTracker
  ) throws(SourceError) -> Leaf? {
    let start = tracker.scannedLeaves
    var first: Int64 = 0
    for index in disks.indices {
      let count = disks[index].disk.grid.leafCount
      defer { first += count }
      guard start < first + count else { continue }
      guard let leaf = try disks[index].nextLeaf(atOrAfter: max(0, start - first)) else { continue }
      guard let taken = tracker.take(atOrAfter: first + leaf) else { return nil }
      return Leaf(number: taken.leaf, diskIndex: index, index: taken.leaf - first, token: taken.token)
    }
    tracker.skipToEnd()
    return nil
  }
}

/// Where a disk, what the receiver holds of it, or the base has any content. Each answer is asked for once
/// and serves until the scan has passed it.
private struct ContentOfDisk {
  let disk: ScanDisk
  private var allocated = Answer<ByteRange>()
  private var held = Answer<Int64>()
  private var base = Answer<Int64>()
  private var audited = Answer<Int64>()

  /// What was found for all positions from `askedFrom` up to it; everything up to the end when it is nil.
  private struct Answer<Value> {
    var askedFrom: Int64 = .max
    var value: Value?

    func serves(_ position: Int64, upTo end: (Value) -> Int64) -> Bool {
      position >= askedFrom && value.map { position < end($0) } ?? (askedFrom != .max)
    }
  }

  init(disk: ScanDisk) { self.disk = disk }

  mutating func nextLeaf(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    [try leafToCompare(atOrAfter: leaf), try leafOfAudit(atOrAfter: leaf)].compactMap { $0 }.min()
  }

  private mutating func leafToCompare(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    var position = leaf
    while let wanted = disk.leafToRead(atOrAfter: position) {
      guard let found = try leafWithContent(atOrAfter: wanted) else { return nil }
      if disk.leafToRead(atOrAfter: found) == found { return found }
      position = found
    }
    return nil
  }

  private mutating func leafWithContent(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    var candidates = [try leafWithData(atOrAfter: leaf), try leafOfHeld(atOrAfter: leaf)]
    if disk.held !== disk.base { candidates.append(try leafOfBase(atOrAfter: leaf)) }
    return candidates.compactMap { $0 }.min()
  }

  private mutating func leafWithData(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    let leafBytes = Int64(disk.grid.leafSizeBytes)
    let position = leaf * leafBytes
    guard position < disk.grid.sizeBytes else { return nil }
    if !disk.holes.isTrusted { return leaf }
    if !allocated.serves(position, upTo: \.end) {
      do throws(IOError) {
        allocated = Answer(askedFrom: position, value: try disk.image.allocatedRange(atOrAfter: position))
      } catch { throw .io(error) }
    }
    return allocated.value.map { max(position, $0.offset) / leafBytes }
  }

  /// The next leaf with a hole that is read in this pass, whatever hints say.
  private mutating func leafOfAudit(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    if !audited.serves(leaf, upTo: { $0 + 1 }) {
      var candidate = disk.holes.nextLeaf(atOrAfter: leaf)
      while let found = candidate, try isAllocated(found) {
        candidate = disk.holes.nextLeaf(atOrAfter: found + 1)
      }
      audited = Answer(askedFrom: leaf, value: candidate)
    }
    return audited.value
  }

  /// Whether there is no hole in the leaf.
  private func isAllocated(_ leaf: Int64) throws(SourceError) -> Bool {
    let bytes = disk.grid.bytes(of: disk.grid.pages(ofLeaf: leaf))
    do throws(IOError) {
      guard let range = try disk.image.allocatedRange(atOrAfter: bytes.offset) else { return false }
      return range.offset <= bytes.offset && range.end >= bytes.end
    } catch { throw .io(error) }
  }

  private mutating func leafOfHeld(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    try Self.leaf(of: disk.held, atOrAfter: leaf, &held)
  }

  private mutating func leafOfBase(atOrAfter leaf: Int64) throws(SourceError) -> Int64? {
    try Self.leaf(of: disk.base, atOrAfter: leaf, &base)
  }

  private static func leaf(
    of view: any DigestView, atOrAfter leaf: Int64, _ answer: inout Answer<Int64>
  ) throws(SourceError) -> Int64? {
    if !answer.serves(leaf, upTo: { $0 + 1 }) {
      do throws(DigestError) {
        answer = Answer(askedFrom: leaf, value: try view.leafWithContent(atOrAfter: leaf))
      } catch { throw .digest(error) }
    }
    return answer.value
  }
}
