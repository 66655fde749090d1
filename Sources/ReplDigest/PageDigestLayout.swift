import ReplModel

#if _endian(big)
  #error("digest files are written from memory as it is, which needs a little-endian machine")
#endif

/// The one place where memory is taken for file bytes: an array of `PageDigest` is, byte for byte, what the
/// format page calls digests, because the struct is two words, low first, without padding, on a
/// little-endian machine.
enum PageDigestLayout {
  /// Checked once, at first use.
  private static let isFileLayout =
    MemoryLayout<PageDigest>.size == PageDigest.byteCount
    && MemoryLayout<PageDigest>.stride == PageDigest.byteCount
    && MemoryLayout<PageDigest>.offset(of: \.low) == 0 && MemoryLayout<PageDigest>.offset(of: \.high) == 8

  /// The digests as the bytes that stand in a file.
  static func bytes(_ digests: UnsafeBufferPointer<PageDigest>) -> UnsafeRawBufferPointer {
    precondition(isFileLayout, "PageDigest is no longer laid out as in the digest map's format")
    return UnsafeRawBufferPointer(digests)
  }

  /// Room for digests as room for the bytes of a file.
  static func bytes(_ digests: UnsafeMutableBufferPointer<PageDigest>) -> UnsafeMutableRawBufferPointer {
    precondition(isFileLayout, "PageDigest is no longer laid out as in the digest map's format")
    return UnsafeMutableRawBufferPointer(digests)
  }
}
