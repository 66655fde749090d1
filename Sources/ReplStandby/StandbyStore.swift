import ReplDigest
import ReplIO
import ReplModel
import Synchronization

/// A place for standbys: a directory with an identity of its own, and a state directory for what must not lie
/// beside the disks (digest maps and keys). Safe to use from several threads; each standby is opened by one
/// at a time.
public final class StandbyStore: Sendable {
  public let id: StoreID
  /// Bytes that stay free on the store whatever a pass would need.
  public let freeSpaceFloorBytes: Int64
  let options: StoreOptions
  let ledger = SpaceLedger()
  /// Another one after the store was mounted anew.
  private let currentRoot: Mutex<any StorageDirectory>
  let receiver: ReceiverID
  let time: any TimeSource
  let files: any StandbyFilesMaking
  let maps: any StorageDirectory
  /// How many points a VM keeps, by its identity, its owner and the name of its first days.
  let retention: @Sendable (Catalog) -> RetentionPolicy
  private let keyDirectory: any StorageDirectory
  private let keys = Mutex<[KeyID: DigestKey]>([:])
  /// Where standbys were seen, and whose they are.
  struct Known: Sendable {
    let directory: String
    let owner: String
  }
  let known = Mutex<[VMID: Known]>([:])
  let cache = SummaryCache()
  let scan: PatientScan
  /// Files whose sync failed and for which no durable note could be left, by what they are.
  private let suspects = Mutex<Set<String>>([])

  /// Makes `root` a store, durably, or answers the identity that it has already.
  public static func initialize(
    root: any StorageDirectory, time: any TimeSource
  ) throws(StandbyError) -> StoreID {
    if let identity = try StoreIdentity.load(from: root) { return identity.store }
    let identity = StoreIdentity(
      format: StoreIdentity.formatVersion, store: .random(), createdAt: time.wallTime())
    try identity.save(in: root)
    return identity.store
  }

  /// Opens a store. Throws `.storeMissing` when `root` is none: most likely its file system is not mounted.
  public init(
    root: any StorageDirectory, state: any StorageDirectory, receiver: ReceiverID, time: any TimeSource,
    files: any StandbyFilesMaking, freeSpaceFloorBytes: Int64, options: StoreOptions = StoreOptions(),
    retention: @escaping @Sendable (Catalog) -> RetentionPolicy = { _ in .standard }
  ) throws(StandbyError) {
    guard let identity = try StoreIdentity.load(from: root) else { throw .storeMissing(path: root.path) }
    id = identity.store
    self.options = options
    currentRoot = Mutex(root)
    self.receiver = receiver
    self.time = time
    scan = PatientScan(time: time)
    self.files = files
    self.freeSpaceFloorBytes = freeSpaceFloorBytes
    self.retention = retention
    (maps, keyDirectory) = try storing { () throws(IOError) in
      let maps = try state.createDirectory(StandbyLayout.mapsDirectory)
      let keys = try state.createDirectory(StandbyLayout.keysDirectory)
      try state.sync()
      return (maps, keys)
    }
  }

  var root: any StorageDirectory { currentRoot.withLock { $0 } }
  func replaceRoot(_ root: any StorageDirectory) { currentRoot.withLock { $0 = root } }

  /// Path of the store's directory, for messages and for starting standbys.
  public var path: String { root.path }

  // MARK: - Keys

  /// Keeps a sender's digest key, durably.
  public func rememberKey(_ key: DigestKey) throws(StandbyError) {
    if try self.key(key.id) == key { return }
    try digesting { () throws(DigestError) in
      try DigestKeyFile.save(key, as: StandbyLayout.key(key.id), in: keyDirectory)
    }
    keys.withLock { $0[key.id] = key }
  }

  /// The key, when it is here.
  public func key(_ id: KeyID) throws(StandbyError) -> DigestKey? {
    if let known = keys.withLock({ $0[id] }) { return known }
    let loaded = try digesting { () throws(DigestError) in
      try DigestKeyFile.load(StandbyLayout.key(id), in: keyDirectory)
    }
    guard let loaded, loaded.id == id else { return nil }
    keys.withLock { $0[id] = loaded }
    return loaded
  }

  // MARK: - What only this process knows

  func markSuspect(_ thing: String) { _ = suspects.withLock { $0.insert(thing) } }
  func clearSuspect(_ thing: String) { _ = suspects.withLock { $0.remove(thing) } }
  func isSuspect(_ thing: String) -> Bool { suspects.withLock { $0.contains(thing) } }
}
