import COpenSSL
import ReplModel

/// A private key: owns one `EVP_PKEY`.
final class PrivateKey: @unchecked Sendable {
  // SAFETY: the key is never changed after `init`; OpenSSL counts its references atomically.
  let handle: OpaquePointer

  private init(adopting handle: OpaquePointer) { self.handle = handle }

  deinit { EVP_PKEY_free(handle) }

  /// A fresh key on P-256.
  static func generate() throws(TLSError) -> PrivateKey {
    OpenSSLFailure.clear()
    guard let handle = repl_tls_generate_p256() else {
      throw TLSError(.cryptography, "cannot make a P-256 key: \(OpenSSLFailure.drain().text)")
    }
    return PrivateKey(adopting: handle)
  }

  /// Reads PEM. Encrypted keys are refused: a daemon has nobody to ask for the password.
  init(pem: [UInt8], path: String) throws(TLSError) {
    OpenSSLFailure.clear()
    var wasAsked = false
    let parsed = MemoryBIO.reading(pem) { bio in
      withUnsafeMutablePointer(to: &wasAsked) { asked in
        PEM_read_bio_PrivateKey(bio, nil, PasswordRequest.refuse, asked)
      }
    }
    guard let parsed else {
      let failure = OpenSSLFailure.drain()
      if wasAsked {
        throw TLSError(
          .identityInvalid,
          "\(path): the key is encrypted, expected one without a password: "
            + "run: openssl pkey -in \(path) -out \(path).plain && mv \(path).plain \(path)"
        )
      }
      throw TLSError(
        .identityInvalid,
        "\(path): not a PEM private key (\(failure.text)): restore it from a copy, "
          + "or move the directory away and run init"
      )
    }
    handle = parsed
  }

  /// PKCS #8, unencrypted. Callers wipe it after use.
  func pem() throws(TLSError) -> [UInt8] {
    OpenSSLFailure.clear()
    let bytes = MemoryBIO.writing { PEM_write_bio_PKCS8PrivateKey($0, handle, nil, nil, 0, nil, nil) == 1 }
    guard let bytes else {
      throw TLSError(.cryptography, "cannot write the key: \(OpenSSLFailure.drain().text)")
    }
    return bytes
  }
}
