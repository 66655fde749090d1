import COpenSSL
import ReplModel

/// SHA-256 through libcrypto. Owns one `EVP_MD_CTX`; one per thread; may be used again after `finalize`.
///
/// Without memory nothing goes on: running out of it ends the process, as everywhere in Swift, so nothing
/// here throws.
public final class SHA256Hasher {
  // SAFETY: an EVP_MD is immutable, counted, and kept for the life of the process.
  private nonisolated(unsafe) static let algorithm: OpaquePointer = {
    guard let found = EVP_MD_fetch(nil, "SHA256", nil) else {
      fatalError("libcrypto offers no SHA-256; check the installed OpenSSL 3")
    }
    return found
  }()

  private let context: OpaquePointer

  /// Ready to hash.
  public init() {
    guard let made = EVP_MD_CTX_new() else { fatalError("out of memory: SHA-256 context") }
    context = made
    restart()
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Adds bytes.
  public func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
      fatalError("SHA-256 update failed")
    }
  }

  /// The hash of what was added since the start or the last `finalize`; starts anew.
  public func finalize() -> Hash256 {
    var bytes = [UInt8](repeating: 0, count: Hash256.byteCount)
    bytes.withUnsafeMutableBytes { finalize(into: $0) }
    return Hash256(bytes: bytes)!
  }

  /// The hash of `bytes`.
  public static func hash(_ bytes: [UInt8]) -> Hash256 {
    let hasher = SHA256Hasher()
    bytes.withUnsafeBytes { hasher.update($0) }
    return hasher.finalize()
  }

  /// As `finalize`, into 32 bytes of the caller's.
  func finalize(into output: UnsafeMutableRawBufferPointer) {
    precondition(output.count == Hash256.byteCount, "a SHA-256 value has 32 bytes")
    let start = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
    guard EVP_DigestFinal_ex(context, start, nil) == 1 else { fatalError("SHA-256 final failed") }
    restart()
  }

  private func restart() {
    guard EVP_DigestInit_ex2(context, Self.algorithm, nil) == 1 else { fatalError("SHA-256 init failed") }
  }
}
