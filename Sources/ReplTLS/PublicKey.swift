import COpenSSL
import ReplModel

/// A public key: owns one `EVP_PKEY`.
public final class PublicKey: @unchecked Sendable {
  // SAFETY: the key is never changed after `init`; OpenSSL counts its references atomically.
  private let handle: OpaquePointer
  /// SHA-256 of the DER SubjectPublicKeyInfo, by which peers are pinned.
  public let fingerprint: Fingerprint

  deinit { EVP_PKEY_free(handle) }

  /// Reads `-----BEGIN PUBLIC KEY-----`; throws `.cryptography` when it is none.
  public init(pem: String) throws(TLSError) {
    OpenSSLFailure.clear()
    let bytes = Array(pem.utf8)
    guard bytes.count <= Limits.pemFileBytes,
      let parsed = MemoryBIO.reading(bytes, { PEM_read_bio_PUBKEY($0, nil, PasswordRequest.refuse, nil) })
    else {
      throw TLSError(.cryptography, "not a PEM public key: \(OpenSSLFailure.drain().text)")
    }
    handle = parsed
    guard let fingerprint = Self.fingerprint(of: parsed) else {
      throw TLSError(.cryptography, "a public key that cannot be encoded: \(OpenSSLFailure.drain().text)")
    }
    self.fingerprint = fingerprint
  }

  /// As OpenSSL writes it.
  public func pem() throws(TLSError) -> String {
    OpenSSLFailure.clear()
    guard let bytes = MemoryBIO.writing({ PEM_write_bio_PUBKEY($0, handle) == 1 }) else {
      throw TLSError(.cryptography, "cannot write the public key: \(OpenSSLFailure.drain().text)")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Whether `signature` is one over `bytes` by the private half of this key. What cannot be a signature is
  /// none.
  public func verify(_ signature: [UInt8], of bytes: [UInt8]) -> Bool {
    OpenSSLFailure.clear()
    defer { OpenSSLFailure.clear() }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    guard
      EVP_DigestVerifyInit_ex(context, nil, SignatureDigest.name(for: handle), nil, nil, handle, nil) == 1
    else { return false }
    return EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
  }

  private static func fingerprint(of key: OpaquePointer) -> Fingerprint? {
    var encoded: UnsafeMutablePointer<UInt8>?
    let length = i2d_PUBKEY(key, &encoded)
    guard length > 0, let encoded else { return nil }
    defer { CRYPTO_free(encoded, nil, 0) }
    var digest = [UInt8](repeating: 0, count: Hash256.byteCount)
    guard EVP_Digest(encoded, Int(length), &digest, nil, EVP_sha256(), nil) == 1 else { return nil }
    return Hash256(bytes: digest).map { Fingerprint(hash: $0) }
  }
}

/// What is hashed before a signature: SHA-256, and nothing with the keys that sign the bytes themselves.
enum SignatureDigest {
  static func name(for key: OpaquePointer) -> String? {
    let signsBytes = EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1
    return signsBytes ? nil : "SHA256"
  }
}
