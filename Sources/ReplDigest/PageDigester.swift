import COpenSSL
import ReplModel

/// Digests pages under one key. One per thread; nothing is reserved per page.
public final class PageDigester {
  private let mac: Poly1305
  private let padding: UnsafeMutableRawBufferPointer

  /// Throws `.crypto` when libcrypto has no Poly1305.
  public init(key: DigestKey) throws(DigestError) {
    mac = try Poly1305(key: key.bytes)
    padding = .allocate(byteCount: PageGrid.allowedPageSizes.max()!, alignment: 16)
    padding.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { padding.deallocate() }

  /// One digest per page of `data`, which starts at a page boundary; a short last page is padded with
  /// zeros.
  ///
  /// The all-zero page has the all-zero digest and no other page has it. `digests` has room for every page;
  /// the caller answers for that, and for a page size that `PageGrid` allows.
  public func digest(
    pages data: UnsafeRawBufferPointer, pageSizeBytes: Int,
    into digests: UnsafeMutableBufferPointer<PageDigest>
  ) throws(DigestError) {
    precondition(PageGrid.allowedPageSizes.contains(pageSizeBytes), "not a page size: \(pageSizeBytes)")
    precondition(
      (data.count + pageSizeBytes - 1) / pageSizeBytes <= digests.count, "no room for the digests")
    ERR_clear_error()
    var offset = 0
    var index = 0
    while offset < data.count {
      let end = min(offset + pageSizeBytes, data.count)
      let page = UnsafeRawBufferPointer(rebasing: data[offset..<end])
      digests[index] = try digest(page, pageSizeBytes: pageSizeBytes)
      offset = end
      index += 1
    }
  }

  /// The digest of a batch: Poly1305 over the digests of its pages, one after the other.
  public func digest(of digests: UnsafeBufferPointer<PageDigest>) throws(DigestError) -> PageDigest {
    ERR_clear_error()
    try mac.begin()
    try mac.update(PageDigestLayout.bytes(digests))
    return try mac.finish()
  }

  @inline(__always) private func digest(
    _ page: UnsafeRawBufferPointer, pageSizeBytes: Int
  ) throws(DigestError) -> PageDigest {
    if ZeroTest.isZero(page) { return .zero }
    try mac.begin()
    try mac.update(page)
    if page.count < pageSizeBytes {
      try mac.update(UnsafeRawBufferPointer(rebasing: padding[0..<(pageSizeBytes - page.count)]))
    }
    return Self.keepingZeroApart(try mac.finish())
  }

  /// The all-zero digest means the all-zero page: a MAC that comes out as zero by chance becomes 1.
  static func keepingZeroApart(_ digest: PageDigest) -> PageDigest {
    digest.isZero ? PageDigest(low: 1, high: 0) : digest
  }
}
