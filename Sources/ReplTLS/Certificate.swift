import COpenSSL
import Glibc
import ReplModel

/// An X.509 certificate: owns one reference to an `X509`.
final class Certificate: @unchecked Sendable {
  // SAFETY: the certificate is never changed after it was made; OpenSSL counts its references atomically
  // and guards the caches inside.
  let handle: OpaquePointer

  init(adopting handle: OpaquePointer) { self.handle = handle }

  deinit { X509_free(handle) }

  /// The certificates of a PEM file, the first one being the owner's.
  static func chain(pem: [UInt8], path: String) throws(TLSError) -> [Certificate] {
    OpenSSLFailure.clear()
    var chain: [Certificate] = []
    _ = MemoryBIO.reading(pem) { bio -> Void? in
      while let handle = PEM_read_bio_X509(bio, nil, PasswordRequest.refuse, nil) {
        chain.append(Certificate(adopting: handle))
      }
    }
    let failure = OpenSSLFailure.drain()
    // Reading ends with "no start line"; anything else is a damaged certificate in the middle.
    let isWhole = failure.reasons.allSatisfy { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE }
    guard !chain.isEmpty, isWhole else {
      throw TLSError(
        .identityInvalid, "\(path): not a PEM certificate (\(failure.text)): restore it from a copy")
    }
    return chain
  }

  func pem() throws(TLSError) -> [UInt8] {
    OpenSSLFailure.clear()
    guard let bytes = MemoryBIO.writing({ PEM_write_bio_X509($0, handle) == 1 }) else {
      throw TLSError(.cryptography, "cannot write the certificate: \(OpenSSLFailure.drain().text)")
    }
    return bytes
  }

  /// SHA-256 of the DER SubjectPublicKeyInfo; nil when OpenSSL cannot encode the key.
  static func fingerprint(of certificate: OpaquePointer) -> Fingerprint? {
    guard let info = X509_get_X509_PUBKEY(certificate) else { return nil }
    var encoded: UnsafeMutablePointer<UInt8>?
    let length = i2d_X509_PUBKEY(info, &encoded)
    guard length > 0, let encoded else { return nil }
    defer { CRYPTO_free(encoded, nil, 0) }
    var digest = [UInt8](repeating: 0, count: Hash256.byteCount)
    guard EVP_Digest(encoded, Int(length), &digest, nil, EVP_sha256(), nil) == 1 else { return nil }
    return Hash256(bytes: digest).map { Fingerprint(hash: $0) }
  }

  /// Civil time of an ASN.1 time; nil when it makes no sense.
  static func wallTime(_ time: UnsafePointer<ASN1_TIME>?) -> WallTime? {
    var fields = tm()
    guard let time, ASN1_TIME_to_tm(time, &fields) == 1 else { return nil }
    let seconds = Int64(timegm(&fields))
    let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    return overflow ? nil : WallTime(millisecondsSince1970: milliseconds)
  }
}
