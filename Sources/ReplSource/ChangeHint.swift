import ReplDigest
import ReplModel
import Synchronization

/// What a pass goes by for one disk: the ranges that may have changed since the base map, and the share of
/// the rest that is read all the same. Whole leaves are read or left out; what a leaf that is read tells of
/// pages that should not have changed is held against the hint.
///
/// One for a disk of a view; the threads of a scan share it.
public final class ChangeHint: Sendable {
  /// A page that changed although the hint said that it did not.
  public struct Contradiction: Sendable, Hashable {
    /// Bytes on the disk.
    public let offset: Int64

    public init(offset: Int64) { self.offset = offset }
  }

  public let grid: PageGrid
  public let changed: HintedRanges
  public let audit: HintAudit
  private let found = Mutex<Contradiction?>(nil)
  private let audited = Mutex<Int64>(0)

  public init(grid: PageGrid, changed: HintedRanges, audit: HintAudit) {
    precondition(audit.leafCount == grid.leafCount, "the audit of another disk")
    self.grid = grid
    self.changed = changed
    self.audit = audit
  }

  /// The first page that spoke against the hint; from then on it is worth nothing.
  public var contradiction: Contradiction? { found.withLock { $0 } }

  /// Bytes of disk that were read only to hold the hint to account.
  public var auditedBytes: Int64 { audited.withLock { $0 } }

  /// The first leaf at or after `leaf` that is to be read, changed or audited.
  func nextLeaf(atOrAfter leaf: Int64) -> Int64? {
    guard leaf < grid.leafCount else { return nil }
    let leafBytes = Int64(grid.leafSizeBytes)
    let hinted = changed.first(endingAfter: leaf * leafBytes).map { max(leaf, $0.offset / leafBytes) }
    let inside = hinted.flatMap { $0 < grid.leafCount ? $0 : nil }
    return [inside, audit.nextLeaf(atOrAfter: leaf)].compactMap { $0 }.min()
  }

  /// Compares what was read of a leaf with the base map: a page that differs and that the hint called
  /// unchanged speaks against it.
  func judge(_ leaf: Int64, read: UnsafePointer<PageDigest>, base: UnsafePointer<PageDigest>) {
    let pages = grid.pages(ofLeaf: leaf)
    let bytes = grid.bytes(of: pages)
    guard let next = changed.first(endingAfter: bytes.offset), next.intersection(bytes) != nil else {
      audited.withLock { $0 += bytes.length }
      for (slot, page) in pages.enumerated() where read[slot] != base[slot] { return note(page) }
      return
    }
    for (slot, page) in pages.enumerated() where read[slot] != base[slot] {
      if !changed.touches(grid.bytes(of: page..<(page + 1))) { return note(page) }
    }
  }

  private func note(_ page: Int64) {
    let offset = grid.bytes(of: page..<(page + 1)).offset
    found.withLock { if $0 == nil { $0 = Contradiction(offset: offset) } }
  }
}
