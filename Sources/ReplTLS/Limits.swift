/// Every limit of this module, with its reason.
enum Limits {
  /// A PEM file of a key, a certificate with its chain, or one CA: 64 KiB holds some thirty certificates.
  static let pemFileBytes = 64 * 1024
  /// A CA bundle of a distribution is about 220 KiB.
  static let authorityFileBytes = 1024 * 1024
  /// Certificates that a peer may show; OpenSSL's default of 100 KiB helps nobody who shows one certificate.
  static let peerChainBytes = 32 * 1024
  /// Certificates between a peer's and the authority's.
  static let chainDepth: Int32 = 8
  /// Names in one certificate that are looked at; more are ignored, so that matching stays bounded.
  static let namesPerCertificate = 64
  /// Bits of security of a peer's key (NIST SP 800-57): RSA below 2048 bits and curves below P-224 are
  /// refused.
  static let minimumSecurityBits: Int32 = 112
  /// OpenSSL reads this much from the socket at once: four full records.
  static let readBufferBytes = 68 * 1024
  /// AES-GCM's keys are good for 2^24.5 records (RFC 8446 section 5.5), 388 GiB of full ones, and a first
  /// copy may be larger: the sending key is changed long before.
  static let bytesPerSendingKey: Int64 = 64 << 30
  /// After a refusal, and when closing: how long and how much is read and thrown away, so that the last
  /// words to the peer are not destroyed by a reset.
  static let lingerSeconds = 0.5
  static let lingerBytes = 16 << 20
  /// Names of expected peers in one message.
  static let namesInMessage = 8
}
