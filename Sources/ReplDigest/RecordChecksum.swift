import COpenSSL
import ReplModel

/// A checksum for records on disk that needs no secret: Poly1305 under a published key. It finds damage,
/// not forgery. One per thread.
public final class RecordChecksum {
  /// On the format page. Any fixed key will do whose clamped half is not trivial.
  static let publishedKey = HexText.decode(
    "4c81f4a60e4b9d3a53d1c7b2862fe09b7d5e1a90c3f24468b19e07d85acf2316")!

  private let mac: Poly1305

  /// Throws `.crypto` when libcrypto has no Poly1305.
  public init() throws(DigestError) { mac = try Poly1305(key: Self.publishedKey) }

  /// The checksum of the parts, one after the other; where one part ends and the next begins makes no
  /// difference.
  public func compute(_ parts: [UnsafeRawBufferPointer]) throws(DigestError) -> PageDigest {
    ERR_clear_error()
    try mac.begin()
    for part in parts { try mac.update(part) }
    return try mac.finish()
  }
}
