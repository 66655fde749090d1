import ReplDigest
import ReplIO
import ReplModel

/// The digest keys that the receiver keeps, one a peer, named after the peer in the configuration: a sender
/// that lost its own, and was paired anew under the same name, gets it back.
public struct TargetKeys: Sendable {
  private let directory: any StorageDirectory

  /// `directory` is `keys` in the state directory.
  public init(directory: any StorageDirectory) { self.directory = directory }

  func key(of peer: String) throws(PassError) -> DigestKey? {
    do throws(DigestError) { return try DigestKeyFile.load(fileName(peer), in: directory) } catch {
      throw .digest(error)
    }
  }

  func keep(_ key: DigestKey, of peer: String) throws(PassError) {
    do throws(DigestError) { try DigestKeyFile.save(key, as: fileName(peer), in: directory) } catch {
      throw .digest(error)
    }
  }

  /// Peer names are the operator's, but a certificate's name may hold a slash.
  private func fileName(_ peer: String) -> String {
    "\(HexText.encode(SHA256Hasher.hash(Array(peer.utf8)).bytes[0..<16])).key"
  }
}
