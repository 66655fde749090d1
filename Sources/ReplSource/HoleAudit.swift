import ReplModel
import Synchronization

/// Which holes of a disk a pass reads although the storage says that nothing is there, and whether it may go
/// on to believe the storage.
///
/// Leaf *n* belongs to slice *n* mod the number of slices, and each pass reads one slice, in turn. So little
/// is read that it costs nothing to speak of, however large the disk is: a turn takes as long as it takes.
///
/// One for a disk of a view; the threads of a scan share it.
public final class HoleAudit: Sendable {
  /// What a pass reads of the holes of a disk at most, or one leaf: zeros may have to come over a network.
  static let bytesPerPass: Int64 = 8 << 20

  private struct State {
    var isTrusted = true
    var contradiction: Int64?
  }

  private let grid: PageGrid
  private let sliceCount: Int64
  private let slice: Int64
  private let state = Mutex(State())

  /// `turn` counts the passes, whatever it begins with.
  public convenience init(grid: PageGrid, turn: UInt64) {
    self.init(grid: grid, turn: turn, leavesPerPass: Self.bytesPerPass / Int64(grid.leafSizeBytes))
  }

  init(grid: PageGrid, turn: UInt64, leavesPerPass: Int64) {
    self.grid = grid
    let leaves = max(1, leavesPerPass)
    sliceCount = max(1, (grid.leafCount + leaves - 1) / leaves)
    slice = Int64(turn % UInt64(sliceCount))
  }

  func contains(_ leaf: Int64) -> Bool { leaf % sliceCount == slice }

  /// The first leaf at or after `leaf` whose holes are read in this pass.
  func nextLeaf(atOrAfter leaf: Int64) -> Int64? {
    let start = max(0, leaf)
    let next = start + (slice - start % sliceCount + sliceCount) % sliceCount
    return next < grid.leafCount ? next : nil
  }

  /// A page that the storage called a hole holds something.
  func note(_ page: Int64) {
    let offset = grid.bytes(of: page..<(page + 1)).offset
    state.withLock { if $0.contradiction == nil { $0.contradiction = offset } }
  }

  /// Where the first hole was found to hold something, bytes on the disk.
  public var contradiction: Int64? { state.withLock { $0.contradiction } }

  /// Whether holes are left out, but for those of this pass's slice and those that held something before.
  public var isTrusted: Bool { state.withLock { $0.isTrusted } }

  /// All of the disk is read from now on. Not while a scan runs.
  public func distrust() { state.withLock { $0.isTrusted = false } }
}
