import COpenSSL
import ReplModel

extension Certificate {
  /// Twenty years: longer than the machine. In pin mode the key is the identity and the dates are not
  /// looked at; the long life is for those who look at the file.
  private static let lifetimeDays: Int32 = 20 * 365 + 5

  /// A certificate for `key`, signed by itself: random 128-bit serial, valid from a day ago (clocks of two
  /// machines differ), good for both ends of a connection.
  static func selfSigned(_ key: PrivateKey, name: String) throws(TLSError) -> Certificate {
    OpenSSLFailure.clear()
    guard let handle = X509_new() else { throw failure() }
    let certificate = Certificate(adopting: handle)
    guard X509_set_version(handle, 2) == 1, setSerial(handle),
      X509_time_adj_ex(X509_getm_notBefore(handle), -1, 0, nil) != nil,
      X509_time_adj_ex(X509_getm_notAfter(handle), lifetimeDays, 0, nil) != nil,
      X509_set_pubkey(handle, key.handle) == 1, setName(handle, safeName(name)),
      addExtension(handle, NID_basic_constraints, "critical,CA:FALSE"),
      addExtension(handle, NID_key_usage, "critical,digitalSignature"),
      addExtension(handle, NID_ext_key_usage, "serverAuth,clientAuth"),
      X509_sign(handle, key.handle, EVP_sha256()) > 0
    else { throw failure() }
    return certificate
  }

  /// A common name that no log, shell or parser trips over; at most 64 characters (RFC 5280, ub-common-name).
  static func safeName(_ name: String) -> String {
    let characters = name.unicodeScalars.prefix(64).map { scalar -> Character in
      let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
      return isPlain || "._-".unicodeScalars.contains(scalar) ? Character(scalar) : "-"
    }
    return characters.isEmpty ? "vmrepl" : String(characters)
  }

  private static func failure() -> TLSError {
    TLSError(.cryptography, "cannot make a certificate: \(OpenSSLFailure.drain().text)")
  }

  private static func setSerial(_ handle: OpaquePointer) -> Bool {
    var bytes = [UInt8](repeating: 0, count: 16)
    guard RAND_bytes(&bytes, 16) == 1 else { return false }
    // Serials are positive: the sign bit stays clear, and the next one is set so that the length never
    // varies.
    bytes[0] = bytes[0] & 0x7F | 0x40
    guard let number = BN_bin2bn(bytes, 16, nil) else { return false }
    defer { BN_free(number) }
    return BN_to_ASN1_INTEGER(number, X509_get_serialNumber(handle)) != nil
  }

  private static func setName(_ handle: OpaquePointer, _ name: String) -> Bool {
    let subject = X509_get_subject_name(handle)
    let added = X509_NAME_add_entry_by_NID(
      subject, NID_commonName, MBSTRING_UTF8, Array(name.utf8), Int32(name.utf8.count), -1, 0)
    return added == 1 && X509_set_issuer_name(handle, subject) == 1
  }

  private static func addExtension(_ handle: OpaquePointer, _ kind: Int32, _ value: String) -> Bool {
    guard let item = X509V3_EXT_conf_nid(nil, nil, kind, value) else { return false }
    defer { X509_EXTENSION_free(item) }
    return X509_add_ext(handle, item, -1) == 1
  }
}
