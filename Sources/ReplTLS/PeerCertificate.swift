import COpenSSL
import Glibc
import ReplModel

/// What a peer showed, as plain values.
public struct PeerCertificate: Sendable, Hashable {
  /// What the CA of the policy says about the chain.
  public enum Chain: Sendable, Hashable {
    /// There is no CA in the policy.
    case notChecked
    case trusted
    /// The certificate's dates do not hold now (or another one's in its chain).
    case expired
    case notYetValid
    /// OpenSSL's words.
    case untrusted(String)
  }

  /// SHA-256 of the public key.
  public let fingerprint: Fingerprint
  /// Made printable; empty when there is none.
  public let commonName: String
  /// DNS names of the subject alternative name; names with other characters than a DNS name's are left out.
  public let dnsNames: [String]
  /// The certificate's first moment.
  public let validFrom: WallTime
  /// The certificate's last moment.
  public let validUntil: WallTime
  /// NIST SP 800-57: 128 for P-256, 112 for RSA-2048.
  public let securityBits: Int32
  /// The verdict of the CA, if the policy has one.
  public let chain: Chain

  /// For tests of a policy; sessions make their own.
  public init(
    fingerprint: Fingerprint, commonName: String, dnsNames: [String] = [], validFrom: WallTime,
    validUntil: WallTime, securityBits: Int32 = 128, chain: Chain = .notChecked
  ) {
    self.fingerprint = fingerprint
    self.commonName = commonName
    self.dnsNames = dnsNames
    self.validFrom = validFrom
    self.validUntil = validUntil
    self.securityBits = securityBits
    self.chain = chain
  }

  /// Nil when the key or a date cannot be read.
  init?(_ certificate: OpaquePointer, chain: Chain = .notChecked) {
    guard let fingerprint = Certificate.fingerprint(of: certificate),
      let key = X509_get0_pubkey(certificate),
      let validFrom = Certificate.wallTime(X509_get0_notBefore(certificate)),
      let validUntil = Certificate.wallTime(X509_get0_notAfter(certificate))
    else { return nil }
    self.init(
      fingerprint: fingerprint, commonName: Self.commonName(of: certificate),
      dnsNames: Self.dnsNames(of: certificate), validFrom: validFrom, validUntil: validUntil,
      securityBits: EVP_PKEY_get_security_bits(key), chain: chain)
  }

  /// One line for messages and logs.
  public var summary: String {
    var text = fingerprint.description
    if !commonName.isEmpty { text += " (\(commonName))" }
    return text + ", valid from \(validFrom) until \(validUntil)"
  }

  private static func commonName(of certificate: OpaquePointer) -> String {
    let subject = X509_get_subject_name(certificate)
    let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
    guard index >= 0, let entry = X509_NAME_get_entry(subject, index),
      let data = X509_NAME_ENTRY_get_data(entry)
    else { return "" }
    var encoded: UnsafeMutablePointer<UInt8>?
    let length = ASN1_STRING_to_UTF8(&encoded, data)
    guard length >= 0, let encoded else { return "" }
    defer { CRYPTO_free(encoded, nil, 0) }
    let bytes = UnsafeBufferPointer(start: encoded, count: Int(length))
    // Control characters and NUL become `?`, which no allowed name contains: a name is never cut short into
    // another.
    return SafeText.printable(String(decoding: bytes, as: UTF8.self), limit: 128)
  }

  private static func dnsNames(of certificate: OpaquePointer) -> [String] {
    guard let names = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
    let stack = OpaquePointer(names)
    defer { OPENSSL_sk_pop_free(stack) { GENERAL_NAME_free($0?.assumingMemoryBound(to: GENERAL_NAME.self)) } }
    var result: [String] = []
    for index in 0..<min(OPENSSL_sk_num(stack), Int32(Limits.namesPerCertificate)) {
      var kind: Int32 = 0
      guard let item = OPENSSL_sk_value(stack, index),
        let value = GENERAL_NAME_get0_value(item.assumingMemoryBound(to: GENERAL_NAME.self), &kind),
        kind == GEN_DNS
      else { continue }
      let text = value.assumingMemoryBound(to: ASN1_STRING.self)
      let bytes = UnsafeBufferPointer(
        start: ASN1_STRING_get0_data(text), count: Int(ASN1_STRING_length(text)))
      guard bytes.count <= 253, bytes.allSatisfy(isNameCharacter) else { continue }
      result.append(String(decoding: bytes, as: UTF8.self))
    }
    return result
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "*"):
      true
    default: false
    }
  }
}
