import COpenSSL

/// The server's side of ALPN (RFC 7301), as OpenSSL's callbacks.
enum ApplicationProtocol {
  typealias HelloCallback =
    @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?) -> Int32
  typealias SelectCallback =
    @convention(c) (
      OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
      UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
    ) -> Int32

  /// OpenSSL asks `select` only when the client sent the extension at all: its absence is refused here,
  /// before either side has shown a certificate.
  static let requireExtension: HelloCallback = { session, alert, _ in
    var bytes: UnsafePointer<UInt8>?
    var count = 0
    let kind = UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation)
    if SSL_client_hello_get0_ext(session, kind, &bytes, &count) == 1 { return SSL_CLIENT_HELLO_SUCCESS }
    alert?.pointee = SSL_AD_NO_APPLICATION_PROTOCOL
    return SSL_CLIENT_HELLO_ERROR
  }

  /// Picks our name out of the client's list; the answer points into that list.
  static let select: SelectCallback = { _, answer, answerCount, list, listCount, _ in
    let wanted = Array(TLSContext.applicationProtocol.utf8)
    let names = UnsafeBufferPointer(start: list, count: Int(listCount))
    var offset = 0
    while offset < names.count {
      let length = Int(names[offset])
      let end = offset + 1 + length
      guard end <= names.count else { break }
      if names[(offset + 1)..<end].elementsEqual(wanted) {
        answer?.pointee = names.baseAddress! + offset + 1
        answerCount?.pointee = UInt8(length)
        return SSL_TLSEXT_ERR_OK
      }
      offset = end
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
  }

  /// Whether both sides agreed on our protocol.
  static func isAgreed(_ session: OpaquePointer) -> Bool {
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    SSL_get0_alpn_selected(session, &name, &count)
    return UnsafeBufferPointer(start: name, count: Int(count)).elementsEqual(
      TLSContext.applicationProtocol.utf8)
  }
}
