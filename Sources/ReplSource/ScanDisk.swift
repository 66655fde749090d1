import ReplDigest
import ReplIO
import ReplModel

/// One disk as the scan sees it.
public struct ScanDisk: Sendable {
  public let image: any BlockReadable
  public let grid: PageGrid
  /// The map of the newest point that this side knows.
  let base: DigestMap
  /// What the receiver holds: `base`, or an overlay over it where the receiver knows more or other pages.
  let held: any DigestView
  /// Where the differences from `base` are written down: the tentative delta.
  let delta: DigestDelta
  /// A delta that was sealed before (the connection was cut at the commit) holds all of the view's
  /// differences.
  let isDeltaComplete: Bool
  /// Leaves out what did not change since the base; nil when everything is read.
  let hint: ChangeHint?
  /// Which holes are read, and whether the others are left out.
  public let holes: HoleAudit

  public init(
    image: any BlockReadable, grid: PageGrid, base: DigestMap, held: any DigestView, delta: DigestDelta,
    hint: ChangeHint? = nil, holes: HoleAudit? = nil
  ) {
    self.holes = holes ?? HoleAudit(grid: grid, turn: 0)
    // What differs from the base must be known leaf by leaf.
    self.hint = held === base || held is DigestDelta ? hint : nil
    self.image = image
    self.grid = grid
    self.base = base
    self.held = held
    self.delta = delta
    isDeltaComplete = delta.sealedPass != nil
  }
}
