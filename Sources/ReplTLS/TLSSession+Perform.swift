import COpenSSL
import Glibc
import ReplIO

extension TLSSession {
  /// What a call is for; the raw value is for messages.
  enum Operation: String { case handshake, read, write }

  /// How a call on the session ended well.
  enum Outcome { case done, farewell }

  private enum Attempt {
    case ended(Outcome)
    case waits(events: Int32)
    case failed(OpenSSLFailure)
    case interrupted
  }

  /// Repeats a non-blocking call until it is done, waiting for the socket in between.
  func perform(
    _ operation: Operation, _ deadline: Deadline, _ call: (inout State) -> Int32
  ) throws(TLSError) -> Outcome {
    while true {
      switch attempt(operation, call) {
      case .ended(let outcome): return outcome
      case .interrupted: throw interruption()
      case .failed(let failure):
        if socket.isInterrupted { throw interruption() }
        if operation == .handshake, let error = handshakeError(failure) { throw error }
        throw error(of: operation, failure)
      case .waits(let events):
        guard socket.wait(for: events, deadline: deadline) == .timedOut else { continue }
        throw timeout(operation)
      }
    }
  }

  private func attempt(_ operation: Operation, _ call: (inout State) -> Int32) -> Attempt {
    lock.withLock { state in
      guard !state.isClosed, !socket.isInterrupted else { return .interrupted }
      // The first failure is the cause of all that follow.
      let earlier = operation == .write ? state.writeFailure : state.readFailure
      if let earlier { return .failed(earlier) }
      OpenSSLFailure.clear()
      errno = 0
      let result = call(&state)
      let systemCode = errno
      if result > 0 { return .ended(.done) }
      let kind = SSL_get_error(ssl, result)
      switch kind {
      case SSL_ERROR_WANT_READ: return .waits(events: Int32(POLLIN))
      case SSL_ERROR_WANT_WRITE: return .waits(events: Int32(POLLOUT))
      case SSL_ERROR_ZERO_RETURN: return .ended(.farewell)
      default:
        let failure = OpenSSLFailure.drain(kind: kind, systemCode: systemCode)
        return .failed(record(failure, of: operation, in: &state))
      }
    }
  }

  /// Remembers a failure for the direction that it ends, and answers the one to report.
  ///
  /// A socket that takes no more bytes may still hold the peer's last words: the alert of a server that
  /// refuses our certificate, which is then the cause to report, or an error message, which whoever reads
  /// gets.
  private func record(
    _ failure: OpenSSLFailure, of operation: Operation, in state: inout State
  ) -> OpenSSLFailure {
    guard failure.kind == SSL_ERROR_SYSCALL, failure.systemCode == EPIPE || failure.systemCode == ECONNRESET,
      operation != .read
    else {
      state.readFailure = state.readFailure ?? failure
      state.writeFailure = state.writeFailure ?? failure
      return failure
    }
    state.writeFailure = failure
    var byte: UInt8 = 0
    var count = 0
    let result = SSL_peek_ex(ssl, &byte, 1, &count)
    let kind = SSL_get_error(ssl, result)
    guard kind == SSL_ERROR_SSL || kind == SSL_ERROR_SYSCALL else { return failure }
    let behind = OpenSSLFailure.drain(kind: kind)
    state.readFailure = behind
    guard behind.alertFromPeer != nil else { return failure }
    state.writeFailure = behind
    return behind
  }

  private func interruption() -> TLSError {
    TLSError(.interrupted, "the connection was closed on this side")
  }

  private func timeout(_ operation: Operation) -> TLSError {
    switch operation {
    case .handshake: return TLSError(.timedOut, "the TLS handshake took too long")
    case .read: return TLSError(.timedOut, "the peer sent nothing in time")
    case .write:
      // Half a record may be out: nothing can follow it.
      lock.withLock { state in
        guard state.writeFailure == nil else { return }
        state.writeFailure = OpenSSLFailure(
          kind: SSL_ERROR_SYSCALL, systemCode: ETIMEDOUT, text: "the peer took no data in time")
      }
      return TLSError(.timedOut, "the peer did not take data in time")
    }
  }

  /// What a failed call means.
  func error(of operation: Operation, _ failure: OpenSSLFailure) -> TLSError {
    if let alert = failure.alertFromPeer { return error(ofAlert: alert) }
    if failure.has(SSL_R_UNEXPECTED_EOF_WHILE_READING) || isBareEnd(failure) {
      return TLSError(
        .truncated, "the connection was cut (\(operation.rawValue)): the stream ends without TLS's farewell")
    }
    if failure.kind == SSL_ERROR_SYSCALL {
      return TLSError(
        .connectionLost, "the connection failed (\(operation.rawValue)): \(failure.text)",
        systemCode: failure.systemCode)
    }
    return TLSError(.cryptography, "TLS failed (\(operation.rawValue)): \(failure.text)")
  }

  private func isBareEnd(_ failure: OpenSSLFailure) -> Bool {
    failure.kind == SSL_ERROR_SYSCALL && failure.systemCode == 0 && failure.reasons.isEmpty
  }

  private func error(ofAlert alert: Int32) -> TLSError {
    let name = String(cString: SSL_alert_desc_string_long(alert))
    let identity = context.identity
    switch alert {
    case SSL_AD_CERTIFICATE_EXPIRED:
      return TLSError(
        .refusedByPeer,
        "the peer refused our certificate \(identity.fingerprint) as out of date "
          + "(it ends \(identity.validUntil)): renew it, and compare the clocks of both machines")
    case SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
      SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA, SSL_AD_ACCESS_DENIED, SSL_AD_CERTIFICATE_REQUIRED:
      return TLSError(
        .refusedByPeer,
        "the peer refused our certificate \(identity.fingerprint) (alert \"\(name)\"): "
          + "ask its operator to pin this fingerprint; the peer's log says what it expected")
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return TLSError(
        .handshakeFailed,
        "the peer does not speak \(TLSContext.applicationProtocol): "
          + "check that the address is that of a vmrepl receiver"
      )
    case SSL_AD_PROTOCOL_VERSION:
      return TLSError(
        .handshakeFailed, "the peer does not accept TLS 1.3, which is the only version in use here")
    default:
      return TLSError(.handshakeFailed, "the peer ended TLS with alert \(alert) \"\(name)\"")
    }
  }
}
