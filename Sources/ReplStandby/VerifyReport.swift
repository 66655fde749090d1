import ReplIO
import ReplModel

/// What reading a standby disk again found.
public struct VerifyReport: Sendable, Hashable {
  /// A part that could not be read.
  public struct Unreadable: Sendable, Hashable {
    public let bytes: ByteRange
    /// `errno`; nil when the system did not refuse (the file ends too early).
    public let code: Int32?
    public let cause: String
  }

  /// How much the answer says.
  public enum Verdict: String, Sendable, Hashable, Codable {
    /// Everything that was to be read was read, and is what the point says.
    case identical
    case differing
    /// A part could not be read, or could not be compared; what could be is identical.
    case inconclusive
  }

  public let disk: DiskID
  /// Of the point that the last leaf was compared with; nil before the first.
  public private(set) var grid: PageGrid?
  public private(set) var point: PointReference?
  /// The newest point stayed the same from the first leaf to the last.
  public private(set) var isOfOnePoint = true
  /// Pages that are known: those read, and those of which disk and map say that nothing is there.
  public internal(set) var pagesChecked: Int64 = 0
  /// Pages that were read from the storage.
  public internal(set) var pagesRead: Int64 = 0
  /// Pages of which disk or map say that they may hold something; a sample reads some of them.
  public internal(set) var candidatePages: Int64 = 0
  /// Pages that are not what the newest point says, in order; at most as many as were asked for.
  public private(set) var differing: [Int64] = []
  /// All of them, those that are not listed included.
  public private(set) var differingCount: Int64 = 0
  /// Covers all of them.
  var differingRanges = PageRangeList()
  /// What could not be read; at most as many as pages were asked for.
  public private(set) var unreadable: [Unreadable] = []
  public private(set) var unreadableBytes: Int64 = 0
  /// Why nothing could be compared; nil when it could.
  public internal(set) var obstacle: String?
  /// The map was lost: made anew from the disk, it has the root of the point, which proves every page.
  public internal(set) var isProvenByRoot = false
  /// The map is lost and the disk has not the root of the point: something differs, which pages is not known.
  public internal(set) var isMapLost = false
  /// What the storage says of the file besides its content: somebody else wrote or replaced it.
  public internal(set) var touched: String?

  init(disk: DiskID) { self.disk = disk }

  /// More was found than is listed.
  public var isCutShort: Bool {
    differingCount > Int64(differing.count)
      || unreadableBytes > unreadable.reduce(0) { $0 + $1.bytes.length }
  }

  public var isClean: Bool { verdict == .identical }

  /// What the answer is, in one word.
  public var verdict: Verdict {
    if differingCount > 0 || isMapLost { return .differing }
    return unreadableBytes > 0 || obstacle != nil ? .inconclusive : .identical
  }

  mutating func begin(_ reference: PointReference, _ grid: PageGrid) {
    if let point, point != reference { isOfOnePoint = false }
    (point, self.grid) = (reference, grid)
  }

  mutating func skip(_ leaves: Range<Int64>) {
    guard !leaves.isEmpty, let grid else { return }
    pagesChecked +=
      grid.pages(ofLeaf: leaves.upperBound - 1).upperBound
      - grid.pages(ofLeaf: leaves.lowerBound).lowerBound
  }

  mutating func noteDiffering(_ page: Int64, listLimit: Int) {
    differingCount += 1
    differingRanges.append(page..<(page + 1))
    if differing.count < listLimit { differing.append(page) }
  }

  mutating func noteUnreadable(_ bytes: ByteRange, _ error: IOError, listLimit: Int) {
    unreadableBytes += bytes.length
    guard unreadable.count < listLimit else { return }
    unreadable.append(Unreadable(bytes: bytes, code: error.systemCode, cause: "\(error)"))
  }

  /// What was found when the differing pages were read a second time: one that cannot be read then is as
  /// unknown as one that could not be read at first.
  mutating func replaceDifferences(by second: VerifyReport, listLimit: Int) {
    unreadable += second.unreadable.prefix(max(0, listLimit - unreadable.count))
    unreadableBytes += second.unreadableBytes
    differing = second.differing
    differingCount = second.differingCount
    differingRanges = second.differingRanges
    (point, grid) = (second.point, second.grid)
  }
}
