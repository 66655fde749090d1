import ReplDigest
import ReplIO
import ReplModel
import Synchronization

/// What the sender keeps on its own disk: the digest key, and per receiver and VM the digest maps. All of it
/// can be made anew from the receiver or by reading; none of it is needed to start a standby.
public final class SourceState: Sendable {
  static let keyName = "digest.key"

  let root: any StorageDirectory
  private let key: Mutex<DigestKey?>
  private let making = Mutex(())

  /// `root` is the state directory.
  public init(root: any StorageDirectory) throws(PassError) {
    self.root = root
    do throws(IOError) {
      let keys = try root.createDirectory("keys")
      do throws(DigestError) {
        key = Mutex(try DigestKeyFile.load(Self.keyName, in: keys))
      } catch {
        throw IOError(.damaged, "load", path: "\(root.path)/keys/\(Self.keyName)", detail: "\(error)")
      }
      _ = try root.createDirectory("maps")
      try root.sync()
    } catch { throw .io(error) }
  }

  public var digestKey: DigestKey? { key.withLock { $0 } }

  /// The key of this installation: the one that is here, or else what `find` answers, kept before anyone uses
  /// it. One caller at a time: passes that begin together must not make two keys.
  func digestKey(orElse find: () throws(PassError) -> DigestKey) throws(PassError) -> DigestKey {
    let outcome = making.withLock { _ -> Result<DigestKey, PassError> in
      if let key = digestKey { return .success(key) }
      do throws(PassError) {
        let key = try find()
        try keep(key)
        return .success(key)
      } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  private func keep(_ newKey: DigestKey) throws(PassError) {
    do throws(IOError) {
      let keys = try root.createDirectory("keys")
      do throws(DigestError) {
        try DigestKeyFile.save(newKey, as: Self.keyName, in: keys)
      } catch {
        throw IOError(.damaged, "save", path: "\(root.path)/keys/\(Self.keyName)", detail: "\(error)")
      }
    } catch { throw .io(error) }
    key.withLock { $0 = newKey }
  }

  /// Where the maps of one VM at one receiver lie.
  func mapDirectory(receiver: ReceiverID, vm: VMID) throws(PassError) -> any StorageDirectory {
    do throws(IOError) {
      let maps = try root.createDirectory("maps")
      let ofReceiver = try maps.createDirectory("\(receiver)")
      let ofVM = try ofReceiver.createDirectory("\(vm)")
      try ofReceiver.sync()
      try maps.sync()
      return ofVM
    } catch { throw .io(error) }
  }
}
