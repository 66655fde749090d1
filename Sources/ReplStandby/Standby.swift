import ReplDigest
import ReplIO
import ReplModel
import Synchronization

/// What recovery did when the standby was opened.
public enum Recovery: Sendable, Hashable {
  /// There was nothing to do.
  case nothing
  /// A committed point was brought into the disks.
  case settled(PointReference)
  /// An interrupted pass is kept as a head start for the next one.
  case headStart
  /// What an interrupted pass left was of no use and is gone.
  case discarded
  /// Promoted: nothing was touched.
  case fenced
}

/// One standby, held exclusively for as long as the object lives. One user at a time.
public final class Standby {
  public internal(set) var catalog: Catalog
  /// What opening it found and did. After a failure no pass can begin: the next open tries again.
  public internal(set) var recovery: Result<Recovery, StandbyError> = .success(.nothing)

  /// Points that ended since it was asked last, besides those that retention reports.
  var droppedInPass: [(point: PointReference, reason: DropReason)] = []

  let store: StandbyStore
  let home: StandbyHome
  let maps: any StorageDirectory
  let heldDevices = HeldDevices()
  /// Hashes of the source files of the pass that began last: those that are here need not travel, and its
  /// commit may be the only one that names them.
  var passFiles: Set<Hash256> = []
  private let lock: FileLock
  private let vm: VMID
  /// One look at a time: two at once would take each other for a failover.
  private let requestLook = Mutex<Void>(())

  init(store: StandbyStore, home: StandbyHome, catalog: Catalog, lock: FileLock) throws(StandbyError) {
    self.store = store
    self.home = home
    self.catalog = catalog
    self.lock = lock
    vm = catalog.vm
    maps = try storing { () throws(IOError) in
      let name = "\(catalog.standby)"
      let isNew = try !store.maps.contains(name)
      let maps = try store.maps.createDirectory(name)
      if isNew { try store.maps.sync() }
      return maps
    }
  }

  /// Name of the standby's directory in the store.
  public var directoryName: String { home.name }
  /// Path of the standby's directory, for messages and for starting it.
  public var path: String { home.directory.path }

  /// The point that the disks hold; nil before the first.
  public var disksPoint: PointReference? { catalog.heldPoint?.reference }

  /// Bytes that a pass may still use: above the floor, and not promised to a commit.
  public func freeBytesAboveFloor() throws(StandbyError) -> Int64 {
    let free = try storing { () throws(IOError) in try home.directory.freeBytes() }
    return max(0, free - store.freeSpaceFloorBytes - store.ledger.promisedBytes)
  }

  /// Changes the catalog durably. In memory it changes only when it did on the disk.
  func update(_ change: (inout Catalog) -> Void) throws(StandbyError) {
    var next = catalog
    next.keepName()
    change(&next)
    try next.save(in: home.privateDirectory)
    catalog = next
  }

  /// Throws when the standby was promoted, by what stands on the disk now: the fence may have been raised by
  /// a program that did not ask for the lock.
  func checkFence() throws(StandbyError) {
    guard let current = try Catalog.load(from: home.privateDirectory) else {
      throw .catalogDamaged(path: home.privateDirectory.path, detail: "the catalog is gone")
    }
    if let fence = current.fence {
      throw .fenced(vm: catalog.vm, epoch: fence.epoch, at: fence.at, reason: fence.reason)
    }
    try checkNoForgottenFence()
    guard current.epoch == catalog.epoch else {
      throw .staleEpoch(offered: catalog.epoch, current: current.epoch)
    }
  }

  /// Throws when a failover waits for this standby. May be called from any thread.
  public func checkFailoverRequest() throws(StandbyError) {
    let directory = home.privateDirectory
    let isRequested = requestLook.withLock { _ in
      Result { () throws(IOError) in
        guard try directory.contains(StandbyLayout.failoverRequest) else { return false }
        // A request that nobody holds any more was left by a failover that ended.
        return try directory.tryLock(StandbyLayout.failoverRequest) == nil
      }
    }
    if try storing({ () throws(IOError) in try isRequested.get() }) { throw .interruptedByFailover(vm: vm) }
  }

  /// Runs `body`; a divergence that it throws is noted durably first.
  func recordingDivergence<Value>(_ body: () throws(StandbyError) -> Value) throws(StandbyError) -> Value {
    do { return try body() } catch {
      try recordDivergence(error)
      throw error
    }
  }

  /// Takes back the note of a divergence, after a person has put the disk right. The next open goes on.
  public func forgetDivergence() throws(StandbyError) {
    try update { $0.divergence = nil }
  }

  /// Notes durably that somebody else wrote a disk.
  private func recordDivergence(_ error: StandbyError) throws(StandbyError) {
    guard case .diverged(let disk, let page, let detail) = error else { return }
    let divergence = Catalog.Divergence(at: store.time.wallTime(), disk: disk, page: page, detail: detail)
    try update { $0.divergence = divergence }
  }
}
