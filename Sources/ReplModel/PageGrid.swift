/// How a disk is divided into pages: the disk's size and the page size, both in bytes.
///
/// The last page may be short; it is zero-padded for digesting. 256 pages make one leaf of the digest tree.
public struct PageGrid: Hashable, Sendable, Codable {
  public static let pagesPerLeaf = 256
  public static let allowedPageSizes: [Int] = [4096, 8192, 16384, 32768, 65536]
  /// VMware's largest disk is 62 TB; 64 TiB leaves room and keeps every product inside `Int64`.
  public static let maximumSizeBytes: Int64 = 64 << 40

  public let sizeBytes: Int64
  public let pageSizeBytes: Int

  /// Nil when the page size is not a power of two in 4..64 KiB, or the size is not in 1...64 TiB.
  public init?(sizeBytes: Int64, pageSizeBytes: Int) {
    guard Self.allowedPageSizes.contains(pageSizeBytes) else { return nil }
    guard sizeBytes > 0, sizeBytes <= Self.maximumSizeBytes else { return nil }
    self.sizeBytes = sizeBytes
    self.pageSizeBytes = pageSizeBytes
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let size = try container.decode(Int64.self, forKey: .sizeBytes)
    let pageSize = try container.decode(Int.self, forKey: .pageSizeBytes)
    guard let grid = Self(sizeBytes: size, pageSizeBytes: pageSize) else {
      throw DecodingError.dataCorruptedError(
        forKey: .pageSizeBytes, in: container, debugDescription: "size or page size out of range")
    }
    self = grid
  }

  public var pageCount: Int64 { (sizeBytes + Int64(pageSizeBytes) - 1) / Int64(pageSizeBytes) }
  public var leafSizeBytes: Int { pageSizeBytes * Self.pagesPerLeaf }
  public var leafCount: Int64 { (pageCount + Int64(Self.pagesPerLeaf) - 1) / Int64(Self.pagesPerLeaf) }

  /// The bytes that pages `range` cover, cut at the end of the disk.
  public func bytes(of pages: Range<Int64>) -> ByteRange {
    precondition(pages.lowerBound >= 0 && pages.upperBound <= pageCount, "pages outside the disk")
    let start = pages.lowerBound * Int64(pageSizeBytes)
    let end = min(pages.upperBound * Int64(pageSizeBytes), sizeBytes)
    return ByteRange(offset: start, length: max(0, end - start))
  }

  /// The pages of one leaf, cut at the end of the disk.
  public func pages(ofLeaf leaf: Int64) -> Range<Int64> {
    let first = leaf * Int64(Self.pagesPerLeaf)
    return first..<min(first + Int64(Self.pagesPerLeaf), pageCount)
  }
}
