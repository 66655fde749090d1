import COpenSSL
import Glibc

/// What OpenSSL had to say about one failed call: its error queue, drained, and `errno`.
struct OpenSSLFailure: Sendable {
  /// `SSL_ERROR_*` for calls on a session, 0 elsewhere.
  var kind: Int32 = 0
  var systemCode: Int32 = 0
  /// Reason codes with the library that gave them, oldest first.
  var reasons: [(library: Int32, reason: Int32)] = []
  var text = ""

  /// Empties this thread's queue: what an earlier call left there must not be taken for this one's.
  static func clear() { ERR_clear_error() }

  /// Reads and empties this thread's queue.
  static func drain(kind: Int32 = 0, systemCode: Int32 = 0) -> OpenSSLFailure {
    var failure = OpenSSLFailure(kind: kind, systemCode: systemCode)
    var texts: [String] = []
    while true {
      let code = ERR_get_error()
      guard code != 0 else { break }
      failure.reasons.append((ERR_GET_LIB(code), ERR_GET_REASON(code)))
      if let reason = ERR_reason_error_string(code) { texts.append(String(cString: reason)) }
    }
    if texts.isEmpty, systemCode != 0 { texts = [String(cString: strerror(systemCode))] }
    failure.text = texts.isEmpty ? "no reason given" : texts.joined(separator: ", ")
    return failure
  }

  /// Whether libssl gave this reason.
  func has(_ reason: Int32) -> Bool { reasons.contains { $0.library == ERR_LIB_SSL && $0.reason == reason } }

  /// The fatal alert (RFC 8446 section 6.2) that the peer sent, if that is what ended the session.
  var alertFromPeer: Int32? {
    for (library, reason) in reasons where library == ERR_LIB_SSL {
      if reason > SSL_AD_REASON_OFFSET, reason < SSL_AD_REASON_OFFSET + 256 {
        return reason - SSL_AD_REASON_OFFSET
      }
    }
    return nil
  }
}
