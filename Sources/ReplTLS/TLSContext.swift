import COpenSSL
import ReplModel

/// The settings of all sessions of one role: who we are, whom we let in, and TLS 1.3 with nothing optional.
///
/// Mutual, from byte 0; no tickets, no resumption, no early data, no compression; ALPN `vmrepl/1` is
/// required.
public final class TLSContext: @unchecked Sendable {
  // SAFETY: the SSL_CTX is not changed after `init`; SSL_new on it is safe from any thread.
  /// Which end of the handshake this is; has nothing to do with source and target.
  public enum Role: String, Sendable { case client, server }

  /// The protocol name that both ends must agree on (RFC 7301).
  public static let applicationProtocol = "vmrepl/1"

  /// RFC 8446 suites; the one that is fastest with AES instructions comes first.
  private static let cipherSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
  private static let groups = "X25519:P-256"

  /// Whether sessions dial or answer.
  public let role: Role
  /// What is shown to the peer.
  public let identity: TLSIdentity
  /// Who is let in.
  public let policy: PeerPolicy
  let handle: OpaquePointer

  /// - Throws: `.authorityInvalid` when the policy's CA file cannot be used, `.cryptography` when OpenSSL
  ///   refuses a setting.
  public init(role: Role, identity: TLSIdentity, policy: PeerPolicy) throws(TLSError) {
    TLSRuntime.prepareProcess()
    OpenSSLFailure.clear()
    guard let handle = SSL_CTX_new(role == .client ? TLS_client_method() : TLS_server_method()) else {
      throw Self.failure("make a context")
    }
    self.role = role
    self.identity = identity
    self.policy = policy
    self.handle = handle
    try configureProtocol()
    try useIdentity()
    try configurePeerCheck()
    try configureApplicationProtocol()
  }

  deinit { SSL_CTX_free(handle) }

  private func configureProtocol() throws(TLSError) {
    guard repl_tls_only_version_13(handle) == 1, repl_tls_set_groups(handle, Self.groups) == 1,
      SSL_CTX_set_ciphersuites(handle, Self.cipherSuites) == 1, SSL_CTX_set_num_tickets(handle, 0) == 1,
      SSL_CTX_set_max_early_data(handle, 0) == 1
    else { throw Self.failure("limit a context to TLS 1.3") }
    SSL_CTX_set_security_level(handle, 2)
    repl_tls_set_modes(handle)
    repl_tls_set_certificate_limit(handle, Limits.peerChainBytes)
    SSL_CTX_set_default_read_buffer_len(handle, Limits.readBufferBytes)
  }

  private func useIdentity() throws(TLSError) {
    guard SSL_CTX_use_certificate(handle, identity.certificate.handle) == 1,
      SSL_CTX_use_PrivateKey(handle, identity.key.handle) == 1
    else { throw Self.failure("use the identity \(identity.fingerprint)") }
    for certificate in identity.intermediates {
      guard repl_tls_add_chain_certificate(handle, certificate.handle) == 1 else {
        throw Self.failure("use the intermediate certificates of \(identity.fingerprint)")
      }
    }
  }

  private func configurePeerCheck() throws(TLSError) {
    SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    SSL_CTX_set_verify_depth(handle, Limits.chainDepth)
    SSL_CTX_set_cert_verify_callback(handle, HandshakeRecord.checkPeer, nil)
    guard let authority = policy.authority else { return }
    let certificates = try AuthorityFile.certificates(path: authority.filePath)
    let store = SSL_CTX_get_cert_store(handle)
    for certificate in certificates {
      guard X509_STORE_add_cert(store, certificate.handle) == 1 else {
        throw Self.failure("trust \(authority.filePath)")
      }
    }
  }

  private func configureApplicationProtocol() throws(TLSError) {
    let name = Array(Self.applicationProtocol.utf8)
    switch role {
    case .client:
      let list = [UInt8(name.count)] + name
      // This one call answers 0 for success.
      guard SSL_CTX_set_alpn_protos(handle, list, UInt32(list.count)) == 0 else {
        throw Self.failure("set ALPN")
      }
    case .server:
      SSL_CTX_set_client_hello_cb(handle, ApplicationProtocol.requireExtension, nil)
      SSL_CTX_set_alpn_select_cb(handle, ApplicationProtocol.select, nil)
    }
  }

  private static func failure(_ what: String) -> TLSError {
    TLSError(.cryptography, "OpenSSL cannot \(what): \(OpenSSLFailure.drain().text)")
  }
}
