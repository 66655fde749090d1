import COpenSSL
import ReplModel

/// What was decided about the peer while a handshake ran. Hangs on the `SSL` as its application data, so
/// that OpenSSL's callback finds it. Used by the thread that holds the session's lock.
final class HandshakeRecord {
  typealias VerifyCallback = @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32

  let policy: PeerPolicy
  private(set) var shown: PeerCertificate?
  private(set) var decision: PeerPolicy.Decision?

  init(policy: PeerPolicy) { self.policy = policy }

  var refusal: PeerPolicy.Refusal? {
    if case .refused(let refusal) = decision { refusal } else { nil }
  }

  /// OpenSSL's question, in place of its own chain check: 1 goes on, 0 ends the handshake with an alert.
  static let checkPeer: VerifyCallback = { store, _ in
    guard let store,
      let session = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
      let own = SSL_get_ex_data(OpaquePointer(session), 0)
    else { return 0 }
    return Unmanaged<HandshakeRecord>.fromOpaque(own).takeUnretainedValue().decide(store)
  }

  private func decide(_ store: OpaquePointer) -> Int32 {
    guard let leaf = X509_STORE_CTX_get0_cert(store),
      let shown = PeerCertificate(leaf, chain: policy.authority == nil ? .notChecked : Self.checkChain(store))
    else {
      X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
      return 0
    }
    self.shown = shown
    let decision = policy.evaluate(shown)
    self.decision = decision
    switch decision {
    case .allowed:
      X509_STORE_CTX_set_error(store, X509_V_OK)
      return 1
    case .refused(let refusal):
      X509_STORE_CTX_set_error(store, Self.verifyError(refusal.kind))
      return 0
    }
  }

  private static func checkChain(_ store: OpaquePointer) -> PeerCertificate.Chain {
    OpenSSLFailure.clear()
    let isTrusted = X509_verify_cert(store) == 1
    OpenSSLFailure.clear()
    if isTrusted { return .trusted }
    let code = X509_STORE_CTX_get_error(store)
    switch code {
    case X509_V_ERR_CERT_HAS_EXPIRED: return .expired
    case X509_V_ERR_CERT_NOT_YET_VALID: return .notYetValid
    default: return .untrusted(String(cString: X509_verify_cert_error_string(Int(code))))
    }
  }

  /// OpenSSL turns these into the alerts `certificate_expired`, `unknown_ca` and `bad_certificate`: the
  /// peer learns what kind of refusal it was, not what we would have accepted.
  private static func verifyError(_ kind: PeerPolicy.Refusal.Kind) -> Int32 {
    switch kind {
    case .expired: X509_V_ERR_CERT_HAS_EXPIRED
    case .notYetValid: X509_V_ERR_CERT_NOT_YET_VALID
    case .untrusted: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    case .noCertificate, .unknown, .weakKey, .wrongName: X509_V_ERR_CERT_REJECTED
    }
  }
}
