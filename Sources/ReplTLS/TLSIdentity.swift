import COpenSSL
import ReplIO
import ReplModel

/// Who this machine is: a private key and a certificate, read from `key.pem` and `certificate.pem` in a
/// directory that belongs to us alone.
///
/// The certificate may be the self-signed one that `create` made, or one that a CA issued for the same key,
/// followed by the intermediate certificates.
public struct TLSIdentity: Sendable {
  /// The private key's file.
  public static let keyFileName = "key.pem"
  /// The certificate's file, with the intermediates of its issuer.
  public static let certificateFileName = "certificate.pem"

  /// SHA-256 of the public key: what the other side pins. A new certificate for the same key keeps it.
  public let fingerprint: Fingerprint
  /// The certificate's common name, made printable; empty when it has none.
  public let commonName: String
  /// When the certificate ends. Peers in CA mode refuse it from then on; peers that pin the key do not look.
  public let validUntil: WallTime

  let key: PrivateKey
  let certificate: Certificate
  /// Intermediate certificates, ours first.
  let intermediates: [Certificate]

  init(key: PrivateKey, chain: [Certificate], path: String) throws(TLSError) {
    guard let leaf = chain.first, let facts = PeerCertificate(leaf.handle) else {
      throw TLSError(.identityInvalid, "\(path): the certificate has no readable public key or dates")
    }
    OpenSSLFailure.clear()
    guard X509_check_private_key(leaf.handle, key.handle) == 1 else {
      OpenSSLFailure.clear()
      throw TLSError(
        .identityInvalid,
        "\(path): the certificate (\(facts.fingerprint)) is not for the key beside it: "
          + "put the certificate that was issued for this key in place")
    }
    guard facts.securityBits >= Limits.minimumSecurityBits else {
      throw TLSError(
        .identityInvalid,
        "\(path): the key has \(facts.securityBits) bits of security, at least \(Limits.minimumSecurityBits) "
          + "are expected: move the directory away and run init to make a P-256 key")
    }
    self.key = key
    certificate = leaf
    intermediates = Array(chain.dropFirst())
    fingerprint = facts.fingerprint
    commonName = facts.commonName
    validUntil = facts.validUntil
  }

  /// Reads and checks the identity in the directory `path`. Nothing is made or changed.
  ///
  /// Refused, with the command that repairs it: a directory with more permissions than 0700, a key with
  /// more than 0600, either owned by anyone but us or root; a key that is damaged, encrypted, or not the
  /// certificate's.
  public static func load(in path: String) throws(TLSError) -> TLSIdentity {
    let directory: PosixDirectory
    do throws(IOError) {
      directory = try PosixDirectory(path: path)
    } catch {
      throw error.isMissing ? missing(path) : TLSError(error)
    }
    try FileOwnership.check(directory)
    let key = try loadKey(in: directory)
    guard let pem = try read(certificateFileName, in: directory) else {
      throw missing("\(path)/\(certificateFileName)")
    }
    let certificatePath = "\(path)/\(certificateFileName)"
    let chain = try Certificate.chain(pem: pem, path: certificatePath)
    return try TLSIdentity(key: key, chain: chain, path: certificatePath)
  }

  static func loadKey(in directory: PosixDirectory) throws(TLSError) -> PrivateKey {
    let path = "\(directory.path)/\(keyFileName)"
    guard var pem = try read(keyFileName, in: directory, check: FileOwnership.checkKey) else {
      throw missing(path)
    }
    defer { MemoryBIO.wipe(&pem) }
    return try PrivateKey(pem: pem, path: path)
  }

  /// The file's bytes, nil when it is missing. The check sees the very file that is read, not one by the
  /// same name.
  private static func read(
    _ name: String, in directory: PosixDirectory, check: (PosixFile) throws(TLSError) -> Void = { _ in }
  ) throws(TLSError) -> [UInt8]? {
    let file: PosixFile
    do throws(IOError) {
      file = try directory.openPosixFile(name, .read)
    } catch {
      guard error.isMissing else { throw TLSError(error) }
      return nil
    }
    try check(file)
    return try contents(of: file)
  }

  private static func contents(of file: PosixFile) throws(TLSError) -> [UInt8] {
    let size = try TLSError.onStorage { () throws(IOError) in try file.currentSizeBytes() }
    guard size > 0, size <= Limits.pemFileBytes else {
      throw TLSError(
        .identityInvalid,
        "\(file.path): \(size) bytes, expected 1 to \(Limits.pemFileBytes): restore the file from a copy")
    }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    var failure: IOError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw TLSError(failure) }
    return bytes
  }

  private static func missing(_ path: String) -> TLSError {
    TLSError(.identityMissing, "\(path): there is no identity here: run init to make one")
  }
}
