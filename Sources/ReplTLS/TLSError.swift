import ReplIO
import ReplModel

/// What went wrong with an identity, a handshake or a session.
public struct TLSError: ActionableError, Hashable {
  /// The closed set of reasons.
  public enum Code: String, Sendable, CaseIterable {
    /// There is no key or certificate where one was expected.
    case identityMissing
    /// An identity is there already and is never overwritten.
    case identityExists
    /// Permissions or owner of the directory or the key are too wide.
    case identityUnsafe
    /// The key or certificate is damaged, encrypted, or the two do not belong together.
    case identityInvalid
    /// The CA file cannot be read or holds no certificate.
    case authorityInvalid
    /// The disk under the identity failed.
    case storage
    /// We refused the peer: its certificate is not the expected one.
    case peerRefused
    /// The peer refused our certificate.
    case refusedByPeer
    /// The other end does not speak TLS.
    case notTLS
    /// No agreement on version, ALPN or ciphers, or a broken handshake.
    case handshakeFailed
    /// A deadline passed.
    case timedOut
    /// The stream ended without TLS's own farewell: the connection was cut.
    case truncated
    /// The socket failed.
    case connectionLost
    /// `interrupt` or `close` was called here.
    case interrupted
    /// A record that does not decrypt, or a failure inside OpenSSL.
    case cryptography
  }

  /// For code.
  public let code: Code
  /// A sentence for people: what was found, what was expected, the next step.
  public let detail: String
  /// `errno`, where the system said no.
  public let systemCode: Int32?

  /// `detail` is printed as it is: what comes from a peer is made printable before.
  public init(_ code: Code, _ detail: String, systemCode: Int32? = nil) {
    self.code = code
    self.detail = detail
    self.systemCode = systemCode
  }

  init(_ error: IOError) {
    self.init(.storage, error.description, systemCode: error.systemCode)
  }

  /// Runs an operation on the disk; its failure becomes `.storage`.
  static func onStorage<Value>(_ body: () throws(IOError) -> Value) throws(TLSError) -> Value {
    do throws(IOError) { return try body() } catch { throw TLSError(error) }
  }

  /// A refused peer is asked again by the next pass: replication goes on by itself once the pin is right.
  public var remedy: Remedy {
    switch code {
    case .identityMissing, .identityExists, .identityUnsafe, .identityInvalid, .authorityInvalid: .stopVM
    case .peerRefused, .refusedByPeer, .notTLS, .handshakeFailed, .storage: .abandonPass
    case .timedOut, .truncated, .connectionLost, .interrupted, .cryptography: .retryPass
    }
  }

  /// The detail; it stands alone.
  public var description: String { detail }
}
