import COpenSSL
import ReplModel

extension TLSIdentity {
  /// Signs `bytes` with the private key: ECDSA or RSA (PKCS #1 v1.5) over SHA-256, Ed25519 and Ed448 over the
  /// bytes. `openssl dgst -sha256 -verify` and `openssl pkeyutl -verify -rawin` check it.
  public func sign(_ bytes: [UInt8]) throws(TLSError) -> [UInt8] {
    OpenSSLFailure.clear()
    guard let context = EVP_MD_CTX_new() else { throw Self.signingFailed() }
    defer { EVP_MD_CTX_free(context) }
    var length = 0
    guard
      EVP_DigestSignInit_ex(context, nil, SignatureDigest.name(for: key.handle), nil, nil, key.handle, nil)
        == 1, EVP_DigestSign(context, nil, &length, bytes, bytes.count) == 1
    else { throw Self.signingFailed() }
    var signature = [UInt8](repeating: 0, count: length)
    guard EVP_DigestSign(context, &signature, &length, bytes, bytes.count) == 1 else {
      throw Self.signingFailed()
    }
    return Array(signature.prefix(length))
  }

  /// The public half, PEM.
  public func publicKeyPEM() throws(TLSError) -> String {
    OpenSSLFailure.clear()
    guard let bytes = MemoryBIO.writing({ PEM_write_bio_PUBKEY($0, key.handle) == 1 }) else {
      throw TLSError(.cryptography, "cannot write the public key: \(OpenSSLFailure.drain().text)")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func signingFailed() -> TLSError {
    TLSError(.cryptography, "OpenSSL cannot sign: \(OpenSSLFailure.drain().text)")
  }
}
