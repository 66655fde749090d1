/// Adjacent changed pages of one disk.
public struct PageRun: Hashable, Sendable {
  /// Whether the pages hold anything.
  public enum Kind: UInt8, Sendable {
    /// The pages' bytes travel.
    case data = 0
    /// The pages are all zero; no bytes travel.
    case zero = 1
  }

  public let kind: Kind
  public let firstPage: Int64
  public let pageCount: Int64

  public init(kind: Kind, firstPage: Int64, pageCount: Int64) {
    precondition(firstPage >= 0 && pageCount > 0, "a run holds at least one page")
    self.kind = kind
    self.firstPage = firstPage
    self.pageCount = pageCount
  }

  public var pages: Range<Int64> { firstPage..<(firstPage + pageCount) }
}
