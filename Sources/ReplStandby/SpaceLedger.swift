import ReplIO
import ReplModel
import Synchronization

/// What the commits under way on one store have been promised of its free space: two of them must not count
/// the same bytes. Known to this process alone; what a crash leaves is settled before it is needed again, or
/// waits until there is space.
final class SpaceLedger: Sendable {
  private let promised = Mutex<Int64>(0)

  var promisedBytes: Int64 { promised.withLock { $0 } }

  /// Promises `bytes` when `free`, without what was promised before, has as many. Nil when it has not.
  func reserve(
    _ bytes: Int64, of free: () throws(StandbyError) -> Int64
  ) throws(StandbyError) -> SpaceReservation? {
    // Asked under the lock: between looking and promising nobody else may look.
    let isThere = promised.withLock { promised in
      Result { () throws(StandbyError) in
        guard try free() - promised >= bytes else { return false }
        promised += bytes
        return true
      }
    }
    return try isThere.get() ? SpaceReservation(bytes: bytes, ledger: self) : nil
  }

  fileprivate func release(_ bytes: Int64) { promised.withLock { $0 -= bytes } }
}

/// Space that was promised, for as long as the object lives.
final class SpaceReservation: Sendable {
  let bytes: Int64
  private let ledger: SpaceLedger

  fileprivate init(bytes: Int64, ledger: SpaceLedger) {
    self.bytes = bytes
    self.ledger = ledger
  }

  deinit { ledger.release(bytes) }
}

/// Keeps one pass within its journal budget and above the store's floor while it arrives.
struct SpaceWatch {
  /// Between two looks at the free space.
  private static let lookBytes: Int64 = 16 << 20

  private let standby: Standby
  /// Nil for a session without a journal.
  private let budgetBytes: Int64?
  private var unseenBytes: Int64 = 0

  /// `heldBytes`: what the journal of an interrupted pass has already; the budget is what may be added.
  init(_ standby: Standby, journalHolds heldBytes: Int64?) throws(StandbyError) {
    self.standby = standby
    budgetBytes = try heldBytes.map { (held) throws(StandbyError) in
      held + (try standby.journalBudgetBytes())
    }
  }

  /// Before `bytes` are written; `journalBytes` is what the journal would have then.
  mutating func check(adding bytes: Int64, journalBytes: Int64?) throws(StandbyError) {
    if let journalBytes, let budgetBytes, journalBytes > budgetBytes {
      throw .journalFull(path: standby.path, neededBytes: journalBytes, budgetBytes: budgetBytes)
    }
    unseenBytes += bytes
    guard unseenBytes >= Self.lookBytes else { return }
    unseenBytes = 0
    try standby.checkFloor()
  }
}

extension Standby {
  /// Throws `.outOfSpace` when the store has no more than its floor and what others were promised.
  func checkFloor() throws(StandbyError) {
    guard try freeBytesAboveFloor() == 0 else { return }
    let free = try storing { () throws(IOError) in try home.directory.freeBytes() }
    throw .outOfSpace(
      path: path, neededBytes: store.freeSpaceFloorBytes + store.ledger.promisedBytes + 1, freeBytes: free)
  }

  /// Bytes that the journal of a pass that begins now may have.
  public func journalBudgetBytes() throws(StandbyError) -> Int64 {
    if let budget = store.options.journalBudgetBytes { return budget }
    // The undo file may become as large as the journal.
    return try freeBytesAboveFloor() / 2
  }

  /// Promises space above the floor, or throws `.outOfSpace` with the numbers.
  func reserveSpace(_ bytes: Int64) throws(StandbyError) -> SpaceReservation {
    let floor = store.freeSpaceFloorBytes
    var free: Int64 = 0
    let reservation = try store.ledger.reserve(bytes) { () throws(StandbyError) in
      free = max(0, try storing { () throws(IOError) in try home.directory.freeBytes() } - floor)
      return free
    }
    if let reservation { return reservation }
    throw .outOfSpace(
      path: path, neededBytes: bytes, freeBytes: max(0, free - store.ledger.promisedBytes))
  }
}

extension Standby {
  /// Bytes of the store that settling a disk may take at the most: its undo file, and where its file grows.
  func settlingBytes(of disk: JournalledDisk) -> Int64 {
    // Records of an undo file are at most a thirty-second larger than the pages in them.
    let undo = disk.undoBytes + disk.undoBytes / 32
    let entry = catalog.disk(disk.offered.disk)
    if entry?.device != nil { return undo }
    guard store.options.isThick else { return undo + disk.growthBytes }
    // A thick file has the space of its zero pages already.
    return undo + max(0, disk.offered.grid.sizeBytes - (entry?.grid.sizeBytes ?? 0))
  }
}
