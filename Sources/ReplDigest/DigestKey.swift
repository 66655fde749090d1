import COpenSSL
import ReplModel

/// The secret under which an installation digests pages. Whoever holds it could craft pages that look
/// unchanged.
public struct DigestKey: Sendable, Equatable {
  /// Names the key in headers, offers and logs.
  public let id: KeyID
  /// 32 bytes.
  public let bytes: [UInt8]

  /// Nil unless there are 32 bytes.
  public init?(id: KeyID, bytes: [UInt8]) {
    guard bytes.count == Poly1305.keyByteCount else { return nil }
    self.id = id
    self.bytes = bytes
  }

  /// A fresh random key. Throws `.crypto` when libcrypto's random source fails.
  public static func generate() throws(DigestError) -> DigestKey {
    ERR_clear_error()
    var bytes = [UInt8](repeating: 0, count: Poly1305.keyByteCount)
    guard RAND_bytes(&bytes, Int32(bytes.count)) == 1 else { throw cryptoFailure("making a digest key") }
    return DigestKey(id: .random(), bytes: bytes)!
  }
}

extension DigestKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The ID only: a key never reaches a log.
  public var description: String { "digest key \(id)" }
  /// As `description`.
  public var debugDescription: String { description }
  /// Without the bytes.
  public var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}
