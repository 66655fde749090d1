import Synchronization

/// What all extents of one disk, and of all links of its chain, share: memory for tables and grains, and the
/// oddities that are found only while reading. Safe to use from several threads at once.
final class ExtentContext: Sendable {
  private struct Key: Hashable {
    let owner: Int
    let index: Int64
  }

  private struct Found {
    var sentences: [String] = []
    var subjects: Set<String> = []
  }

  private let lastOwner = Atomic<Int>(0)
  private let entries: Mutex<BoundedCache<Key, [Int64]>>
  private let grains: Mutex<BoundedCache<Key, [UInt8]>>
  private let claimBytes: Mutex<Int>
  private let found = Mutex(Found())

  init(
    tableBytes: Int = Limits.cachedTableBytes, grainBytes: Int = Limits.cachedGrainBytes,
    claimBytes: Int = Limits.claimBytes
  ) {
    entries = Mutex(BoundedCache(limit: tableBytes))
    grains = Mutex(BoundedCache(limit: grainBytes))
    self.claimBytes = Mutex(claimBytes)
  }

  /// A number that tells what one table or directory keeps here from everybody else's.
  func newOwner() -> Int { lastOwner.add(1, ordering: .relaxed).newValue }

  // MARK: Memory

  func keptEntries(_ owner: Int, _ index: Int64) -> [Int64]? {
    entries.withLock { $0[Key(owner: owner, index: index)] }
  }

  func keep(entries value: [Int64], _ owner: Int, _ index: Int64) {
    entries.withLock {
      $0.insert(
        value, for: Key(owner: owner, index: index),
        cost: value.count * MemoryLayout<Int64>.stride + Limits.cacheEntryBytes)
    }
  }

  func keptGrain(_ owner: Int, _ index: Int64) -> [UInt8]? {
    grains.withLock { $0[Key(owner: owner, index: index)] }
  }

  func keep(grain value: [UInt8], _ owner: Int, _ index: Int64) {
    grains.withLock {
      $0.insert(value, for: Key(owner: owner, index: index), cost: value.count + Limits.cacheEntryBytes)
    }
  }

  /// Takes up to `wanted` bytes for good, at most half of what is left: the links below want some too.
  func takeClaimBytes(_ wanted: Int) -> Int {
    claimBytes.withLock { left in
      let granted = min(wanted, left / 2)
      left -= granted
      return granted
    }
  }

  // MARK: Oddities

  /// What reading has found so far, a sentence each.
  var warnings: [String] { found.withLock { $0.sentences } }

  /// - Parameter subject: what the sentence is about; the first sentence about it is kept.
  func warn(_ sentence: String, onceFor subject: String) {
    found.withLock { found in
      guard found.sentences.count < Limits.warnings, found.subjects.insert(subject).inserted else { return }
      found.sentences.append(sentence)
    }
  }
}
