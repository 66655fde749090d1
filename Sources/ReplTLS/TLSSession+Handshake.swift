import COpenSSL
import ReplIO
import ReplModel

extension TLSSession {
  /// Runs the handshake on a connected socket, as the context's role. The peer is authenticated and allowed
  /// when this returns; on a client the server may still refuse our certificate, which shows at the first
  /// read.
  ///
  /// - Throws: `.peerRefused` (we refuse the peer; the peer gets an alert), `.refusedByPeer`, `.notTLS`,
  ///   `.handshakeFailed`, `.timedOut`, `.truncated`, `.connectionLost`, `.interrupted`. The socket is of
  ///   no more use then.
  public static func handshake(
    socket: ConnectedSocket, context: TLSContext, deadline: Deadline
  ) throws(TLSError) -> TLSSession {
    let session = try TLSSession(socket: socket, context: context)
    try session.shakeHands(deadline)
    return session
  }

  /// As above with a descriptor, which is taken over whatever happens.
  public static func handshake(
    socket descriptor: Int32, context: TLSContext, deadline: Deadline
  ) throws(TLSError) -> TLSSession {
    try handshake(socket: ConnectedSocket(adopting: descriptor), context: context, deadline: deadline)
  }

  func shakeHands(_ deadline: Deadline) throws(TLSError) {
    do throws(TLSError) {
      let outcome = try perform(.handshake, deadline) { _ in
        context.role == .client ? SSL_connect(ssl) : SSL_accept(ssl)
      }
      guard outcome == .done else { throw TLSError(.truncated, "the peer closed during the handshake") }
      try checkResult()
    } catch {
      // The alert that says why must not be destroyed by a reset (it would be: the peer may be sending
      // already).
      if error.code != .interrupted {
        socket.linger(seconds: Limits.lingerSeconds, limitBytes: Limits.lingerBytes)
      }
      throw error
    }
  }

  /// What the callbacks were to make sure of, seen again on the finished session.
  private func checkResult() throws(TLSError) {
    let failure = lock.withLock { state -> TLSError? in
      guard SSL_version(ssl) == TLS1_3_VERSION else {
        return TLSError(.handshakeFailed, "the handshake ended with another version than TLS 1.3")
      }
      guard ApplicationProtocol.isAgreed(ssl) else {
        return TLSError(
          .handshakeFailed, "the peer did not agree on \(TLSContext.applicationProtocol): check the address")
      }
      guard let shown = record.shown, case .allowed(let peer) = record.decision, holdsKey(shown.fingerprint)
      else {
        return TLSError(.peerRefused, context.policy.refusalOfMissingCertificate().reason)
      }
      state.peer = peer
      state.peerCertificate = shown
      return nil
    }
    if let failure { throw failure }
  }

  private func holdsKey(_ fingerprint: Fingerprint) -> Bool {
    guard let certificate = SSL_get1_peer_certificate(ssl) else { return false }
    defer { X509_free(certificate) }
    return Certificate.fingerprint(of: certificate) == fingerprint
  }

  /// What a failed handshake means: our own refusal first, then what OpenSSL says of the peer's bytes.
  func handshakeError(_ failure: OpenSSLFailure) -> TLSError? {
    if let refusal = record.refusal { return TLSError(.peerRefused, refusal.reason) }
    if failure.has(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
      return TLSError(.peerRefused, context.policy.refusalOfMissingCertificate().reason)
    }
    let plaintext = [
      SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_WRONG_VERSION_NUMBER, SSL_R_BAD_RECORD_TYPE,
      SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_UNEXPECTED_MESSAGE,
    ]
    if plaintext.contains(where: failure.has) {
      return TLSError(
        .notTLS, "the other end does not speak TLS (\(failure.text)): check the address and port")
    }
    // Our hello callback is the only one that can fail: it looks for ALPN.
    if failure.has(SSL_R_CALLBACK_FAILED) || failure.has(SSL_R_NO_APPLICATION_PROTOCOL) {
      return TLSError(
        .handshakeFailed, "the peer does not offer \(TLSContext.applicationProtocol): it is no vmrepl daemon")
    }
    if failure.has(SSL_R_UNSUPPORTED_PROTOCOL) {
      return TLSError(.handshakeFailed, "the peer offers no TLS 1.3, which is the only version in use here")
    }
    if failure.kind == SSL_ERROR_SSL, failure.alertFromPeer == nil,
      !failure.has(SSL_R_UNEXPECTED_EOF_WHILE_READING)
    {
      return TLSError(.handshakeFailed, "the TLS handshake failed: \(failure.text)")
    }
    return nil
  }
}
