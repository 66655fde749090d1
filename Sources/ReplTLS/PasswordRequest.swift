/// What OpenSSL calls when PEM text says that it is encrypted. Without an answer of ours it would ask on the
/// terminal and wait there, whoever wrote the text.
enum PasswordRequest {
  /// There is no password. Where the last argument is a `Bool`, it becomes true.
  static let refuse:
    @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 = {
      _, _, _, wasAsked in
      wasAsked?.assumingMemoryBound(to: Bool.self).pointee = true
      return -1
    }
}
