import ReplIO
import ReplModel

extension StandbyStore {
  /// The identity of the store in `root`; nil when it is none.
  public static func identity(of root: any StorageDirectory) throws(StandbyError) -> StoreID? {
    try StoreIdentity.load(from: root)?.store
  }

  /// Throws when the store's path does not lead to this store any more: unmounted under the daemon, or
  /// something else mounted over it. When it was mounted again the new mount is used from here on.
  ///
  /// Standbys that are open keep the folder that they have.
  public func checkPresence() throws(StandbyError) {
    guard let reopen = options.reopen else { return }
    let fresh = try reopen()
    if let fresh = fresh as? PosixDirectory, let held = root as? PosixDirectory,
      // One that cannot be asked any more is not the same: a FUSE program that died.
      (try? fresh.isSame(as: held)) == true
    {
      return
    }
    guard let found = try Self.identity(of: fresh) else { throw .storeMissing(path: path) }
    guard found == id else { throw .otherStore(path: path, name: nil, expected: id, found: found) }
    replaceRoot(fresh)
  }

  /// As `checkPresence`, and returns only when the storage takes changes, or refuses them: one that is read
  /// and hangs when something is written is of no use. Blocks as long as that takes.
  public func checkAnswer() throws(StandbyError) {
    try checkPresence()
    // There is no such file; a change is asked for all the same. What a refusal means is said by those who
    // write.
    try? root.removeFile(StandbyLayout.absentFile)
  }
}
