import ReplDigest
import ReplIO
import ReplModel

/// Why a standby could not be opened, written or brought to a recovery point.
public enum StandbyError: ActionableError {
  /// The standby was promoted: replication never writes it again.
  case fenced(vm: VMID, epoch: Epoch, at: WallTime, reason: String)
  /// Somebody else holds the standby: another pass, or a failover.
  case lockHeld(path: String)
  /// A failover waits for the standby; this pass makes way.
  case interruptedByFailover(vm: VMID)
  case staleEpoch(offered: Epoch?, current: Epoch)
  case notYours(vm: VMID, owner: String, peer: String)
  /// The offer does not make sense (no disks, a disk twice, over a limit).
  case badOffer(detail: String)
  case diskChanged(disk: DiskID, detail: String)
  case unknownDisk(index: Int)
  case keyMissing(key: KeyID)
  /// A batch does not fit its disk, does not inflate or does not have the digest it claims. It may be sent
  /// again.
  case damagedBatch(disk: DiskID?, detail: String)
  /// A file does not fit the hash that the offer claimed, or did not come.
  case damagedFile(SourceFile, detail: String)
  case countMismatch(disk: DiskID, detail: String)
  case rootMismatch(disk: DiskID, expected: Root, found: Root)
  case outOfSpace(path: String, neededBytes: Int64?, freeBytes: Int64?)
  /// A standby disk does not hold what replication wrote: somebody else did. `page` is nil when the whole
  /// differs.
  case diverged(disk: DiskID, page: Int64?, detail: String)
  /// Somebody uses the standby: locks of QEMU on a disk, or what VMware leaves while it runs a VM.
  case inUse(path: String, holder: String? = nil)
  case storage(IOError)
  case digest(DigestError)
  case catalogDamaged(path: String, detail: String)
  /// What is to be known of all kept points has become too much for one catalog. Nothing was changed.
  case catalogFull(path: String, neededBytes: Int, limitBytes: Int)
  case journalDamaged(path: String, detail: String)
  case newerFormat(path: String, found: Int, supported: Int)
  case storeMissing(path: String)
  /// Another store than before lies in the place of one. `name`: as the configuration calls it.
  case otherStore(path: String, name: String?, expected: StoreID, found: StoreID)
  /// The storage cannot keep a standby safely.
  case storageUnfit(path: String, detail: String)
  /// A block device cannot hold a standby disk, or must not.
  case deviceRefused(path: String, detail: String)
  /// Files take all of their size at once here, and a disk's is not free.
  case doesNotFit(path: String, neededBytes: Int64, freeBytes: Int64)
  /// The journal of a pass became larger than it may.
  case journalFull(path: String, neededBytes: Int64, budgetBytes: Int64)
  case duplicateVM(vm: VMID, paths: [String])
  /// The caller that makes descriptors and VMX could not make them, or made something that is not allowed.
  case filesRefused(detail: String)
  /// A disk that cannot be removed now.
  case diskKept(disk: DiskID, detail: String)
  /// After a crash nobody knows what is in a seeding disk: it is read a part at a time, and goes on when it
  /// is offered again.
  case readingAgain(disk: DiskID, doneBytes: Int64, totalBytes: Int64)
  /// What was found could not be repaired.
  case notRepaired(detail: String)
  /// An earlier operation of this pass failed; nothing of it can be committed.
  case passEnded(detail: String)
  /// A recovery point cannot be had any more: an undo file is gone or damaged.
  case pointLost(PointReference, detail: String)
  /// A point that is not kept, or a request about points that cannot be carried out.
  case pointRefused(detail: String)

  public var remedy: Remedy {
    switch self {
    case .fenced, .notYours, .staleEpoch, .diskChanged, .diverged, .catalogDamaged, .journalDamaged,
      .newerFormat,
      .duplicateVM, .deviceRefused:
      .stopVM
    case .damagedBatch, .readingAgain: .retryPass
    case .storage(let error): error.remedy
    case .digest(let error): error.remedy
    default: .abandonPass
    }
  }

  /// The store is not where it was; what it holds is not known.
  public var isStoreGone: Bool {
    switch self {
    case .storeMissing, .otherStore: true
    default: false
    }
  }

  /// More space, and nothing else, is needed.
  public var isOutOfSpace: Bool {
    switch self {
    case .outOfSpace, .doesNotFit, .journalFull: true
    default: false
    }
  }
}

/// The files of a VM that travel whole.
public enum SourceFile: UInt8, Sendable, Codable, CaseIterable, CustomStringConvertible {
  case vmx = 1
  case nvram = 2

  public var description: String {
    switch self {
    case .vmx: "vmx"
    case .nvram: "nvram"
    }
  }
}

/// Runs storage operations and turns their errors into this module's.
func storing<Value>(_ body: () throws(IOError) -> Value) throws(StandbyError) -> Value {
  do { return try body() } catch { throw StandbyError(error) }
}

/// Runs digest operations and turns their errors into this module's.
func digesting<Value>(_ body: () throws(DigestError) -> Value) throws(StandbyError) -> Value {
  do { return try body() } catch {
    if let cause = error.cause, cause.isOutOfSpace { throw StandbyError(cause) }
    throw .digest(error)
  }
}

extension StandbyError {
  init(_ error: IOError) {
    self =
      error.isOutOfSpace
      ? .outOfSpace(path: error.path, neededBytes: nil, freeBytes: nil) : .storage(error)
  }
}
