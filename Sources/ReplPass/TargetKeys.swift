import ReplDigest
import ReplIO
import ReplModel
import ReplStandby
import Synchronization

/// The digest keys that the receiver keeps, one a peer, named after the peer in the configuration: a sender
/// that lost its own, and was paired anew under the same name, gets it back.
public final class TargetKeys: Sendable {
  private let saving = Mutex(())
  private let directory: any StorageDirectory

  /// `directory` is `keys` in the state directory.
  public init(directory: any StorageDirectory) { self.directory = directory }

  func key(of peer: String) throws(PassError) -> DigestKey? {
    do throws(DigestError) { return try DigestKeyFile.load(fileName(peer), in: directory) } catch {
      throw .digest(error)
    }
  }

  func keep(_ key: DigestKey, of peer: String) throws(PassError) {
    try alone { () throws(PassError) in
      do throws(DigestError) { try DigestKeyFile.save(key, as: fileName(peer), in: directory) } catch {
        throw .digest(error)
      }
    }
  }

  /// Gives the peer's key to a store.
  func share(keyOf peer: String, with store: StandbyStore) throws(PassError) {
    guard let key = try key(of: peer) else { return }
    try alone { () throws(PassError) in
      do throws(StandbyError) {
        // The sender chose the name of its key: one that is another key's here must not take its place.
        if let known = try store.key(key.id), known != key { throw .keyMissing(key: key.id) }
        try store.rememberKey(key)
      } catch { throw .standby(error) }
    }
  }

  /// Sessions of one peer that begin together would write the same files.
  private func alone(_ body: () throws(PassError) -> Void) throws(PassError) {
    let failure = saving.withLock { _ -> PassError? in
      do throws(PassError) {
        try body()
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }

  /// Peer names are the operator's, but a certificate's name may hold a slash.
  private func fileName(_ peer: String) -> String {
    "\(HexText.encode(SHA256Hasher.hash(Array(peer.utf8)).bytes[0..<16])).key"
  }
}
