import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS

/// What a side needs for proofs: the key that signs, and the place where statements are kept.
public struct ProofDesk: Sendable {
  /// Name of the directory in the state directory.
  public static let directoryName = "statements"

  let identity: TLSIdentity
  private let directory: any StorageDirectory

  /// `state` is the state directory.
  public init(identity: TLSIdentity, state: any StorageDirectory) throws(IOError) {
    self.identity = identity
    directory = try state.createDirectory(Self.directoryName)
    try state.sync()
  }

  func sign(_ claim: ProofClaim) throws(PassError) -> SignedClaim {
    do throws(ProofError) { return try SignedClaim.sign(claim, as: identity) } catch { throw .proof(error) }
  }

  /// Writes a statement, durably. Answers its path.
  func keep(_ statement: ProofStatement) throws(PassError) -> String {
    let bytes: [UInt8]
    do throws(ProofError) { bytes = try statement.encode() } catch { throw .proof(error) }
    do throws(IOError) { try directory.replaceFile(statement.fileName, with: bytes) } catch {
      throw .io(error)
    }
    return "\(directory.path)/\(statement.fileName)"
  }

  /// Both signatures and what they say together, with the keys that the two sides showed in TLS.
  static func join(
    source: SignedClaim, target: SignedClaim, by peer: Fingerprint, at role: SessionRole
  ) throws(PassError) -> ProofStatement {
    do throws(ProofError) {
      try (role == .source ? target : source).checkSignature(of: peer)
      return try ProofStatement(source: source, target: target)
    } catch { throw .proof(error) }
  }
}
