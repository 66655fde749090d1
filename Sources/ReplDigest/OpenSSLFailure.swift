import COpenSSL

/// The error of a libcrypto call that just failed: the queue is drained into it.
func cryptoFailure(_ doing: String) -> DigestError {
  var reasons: [String] = []
  while true {
    let code = ERR_get_error()
    if code == 0 { break }
    reasons.append(ERR_reason_error_string(code).map { String(cString: $0) } ?? "code \(code)")
  }
  let reason = reasons.isEmpty ? "no reason given" : reasons.joined(separator: "; ")
  return DigestError(.crypto, "libcrypto", "\(doing) failed: \(reason); check the installed OpenSSL 3")
}
