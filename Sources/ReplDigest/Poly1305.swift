import COpenSSL
import ReplModel

/// Owns one `EVP_MAC_CTX` for Poly1305 (RFC 8439). Keyed anew for every message, without reserving memory.
final class Poly1305 {
  static let keyByteCount = 32

  private let context: OpaquePointer
  private let key: UnsafeMutablePointer<UInt8>

  init(key bytes: [UInt8]) throws(DigestError) {
    precondition(bytes.count == Self.keyByteCount, "a Poly1305 key has 32 bytes")
    ERR_clear_error()
    guard let mac = EVP_MAC_fetch(nil, "POLY1305", nil) else { throw cryptoFailure("fetching POLY1305") }
    defer { EVP_MAC_free(mac) }
    guard let made = EVP_MAC_CTX_new(mac) else { throw cryptoFailure("making a POLY1305 context") }
    context = made
    key = .allocate(capacity: bytes.count)
    key.initialize(from: bytes, count: bytes.count)
  }

  deinit {
    EVP_MAC_CTX_free(context)
    OPENSSL_cleanse(key, Self.keyByteCount)
    key.deallocate()
  }

  /// Starts a message.
  @inline(__always) func begin() throws(DigestError) {
    guard EVP_MAC_init(context, key, Self.keyByteCount, nil) == 1 else {
      throw cryptoFailure("POLY1305 init")
    }
  }

  @inline(__always) func update(_ part: UnsafeRawBufferPointer) throws(DigestError) {
    guard let start = part.baseAddress, part.count > 0 else { return }
    guard EVP_MAC_update(context, start.assumingMemoryBound(to: UInt8.self), part.count) == 1 else {
      throw cryptoFailure("POLY1305 update")
    }
  }

  /// Ends the message: the tag as two little-endian words.
  @inline(__always) func finish() throws(DigestError) -> PageDigest {
    var words: (UInt64, UInt64) = (0, 0)
    var written = 0
    let done = withUnsafeMutableBytes(of: &words) { tag in
      EVP_MAC_final(context, tag.baseAddress!.assumingMemoryBound(to: UInt8.self), &written, tag.count)
    }
    guard done == 1, written == PageDigest.byteCount else { throw cryptoFailure("POLY1305 final") }
    return PageDigest(low: UInt64(littleEndian: words.0), high: UInt64(littleEndian: words.1))
  }
}
